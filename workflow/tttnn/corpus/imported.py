"""`tttnn import`: texts of one's own as a folder in the Pile's layout, which the workflow reads.

A text's place, in train, val or test and in which shard, follows from the seed and the text alone:
neither order nor other texts change it, and equal texts are never on both sides.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from tqdm import tqdm

from tttnn.corpus.formats import CorpusError, check_kind
from tttnn.corpus.raw import BATCH, LONGEST_LINE, Progress, lines
from tttnn.corpus.records import RecordError, check_characters, check_text, parse_line
from tttnn.files import replacing, write_json
from tttnn.pile import SPLITS, SUFFIXES, TASK_OF_SUBSET
from tttnn.reading import reading

HUB = "hf:"
NO_TEXT = "not a text in UTF-8"


def _subset(name: str) -> str:
    """The Pile's name of a subset, given as such or as a task, however it is capitalised."""
    known = {subset.casefold(): subset for subset in TASK_OF_SUBSET}
    known |= {task.casefold(): subset for subset, task in TASK_OF_SUBSET.items()}
    if (found := known.get(name.casefold())) is None:
        width = max(map(len, TASK_OF_SUBSET))
        table = "\n".join(f"  {subset:{width}}  {task}" for subset, task in TASK_OF_SUBSET.items())
        raise ValueError(
            f"{name!r} is no subset of the Pile: take the one that is most like your text, which "
            f"names the task that is evaluated\n{table}"
        )
    return found


def _from_hub(name: str) -> Path:
    """The folder of a data set's files, `ID@REVISION`, from the hub's cache or the hub."""
    from huggingface_hub import snapshot_download

    dataset, _, revision = name.partition("@")
    if not revision:
        raise ValueError(f"{HUB}{name}: give the revision too, {HUB}{name}@COMMIT")
    wanted = [f"*{suffix}" for suffix in SUFFIXES]
    try:
        found = snapshot_download(
            dataset, repo_type="dataset", revision=revision, allow_patterns=wanted
        )
    except Exception as error:  # many kinds, each of which says what the matter is
        raise CorpusError(
            f"{HUB}{name} cannot be had ({' '.join(str(error).split())[:300]}): check the name and "
            "the revision, or fetch it with `hf download --repo-type dataset` and name its folder"
        ) from error
    return Path(found)


def _below(folder: Path) -> Iterator[Path]:
    """All but hidden ones, in order; links to folders are followed, each folder's content once."""
    seen = {folder.resolve()}
    for root, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            whole = (Path(root) / name).resolve()
            if not name.startswith(".") and whole not in seen:
                seen.add(whole)
                kept.append(name)
        folders[:] = kept
        yield from (Path(root) / name for name in sorted(names) if not name.startswith("."))


def _files(source: Path) -> list[Path]:
    """A file, or all below a folder."""
    if not source.is_dir():
        if not source.is_file():
            raise ValueError(f"{source} is neither a file nor a folder")
        return [source]
    found = sorted(_below(source))
    if not found:
        raise ValueError(f"{source} holds no file")
    return found


def _of_parquet(path: Path, field: str, remedy: str) -> Iterator[str | bytes | None]:
    """A column of strings, or of binary, as the workflow reads it."""
    with reading(path, "copy it again"):
        file = pq.ParquetFile(path)
    if field not in file.schema_arrow.names:
        raise CorpusError(f"{path} has no column {field!r}: {remedy}")
    kind = file.schema_arrow.field(field).type
    try:
        pa.nulls(0, kind).cast(pa.large_binary())
    except pa.ArrowException:
        raise CorpusError(f"{path}: column {field!r} holds {kind}, no text: {remedy}") from None
    batches = file.iter_batches(BATCH, columns=[field])
    while True:
        with reading(path, "copy it again"):
            if (batch := next(batches, None)) is None:
                return
            values = batch.column(0).cast(pa.large_binary()).to_pylist()
        yield from values


def _of_records(path: Path, field: str) -> Iterator[Any]:
    """The text of each record of a file of them."""
    check_kind(path)
    remedy = f"give --field the name of the text's field in {path.name}"
    if path.name.endswith(".parquet"):
        yield from _of_parquet(path, field, remedy)
        return
    found = enumerate(lines(path, Progress()), start=1)
    while True:
        with reading(path, "copy it again"):
            number, line = next(found, (0, b""))
        if not number:
            return
        if line.strip():
            place = f"{path}, line {number}"
            try:
                record = parse_line(line)
            except RecordError as error:
                raise CorpusError(f"{place}: {error}: mend or remove the line") from None
            if field not in record:
                raise CorpusError(f"{place} has no field {field!r}: {remedy}")
            yield record[field]


def _texts(path: Path, field: str) -> Iterator[Any]:
    """What a file holds: the texts of records, or one text, as bytes if it is none in UTF-8."""
    if path.name.endswith(SUFFIXES) and path.is_file():
        yield from map(_decoded, _of_records(path, field))
        return
    if not path.is_file():  # a link that leads nowhere, a pipe
        yield b""
        return
    if path.stat().st_size > LONGEST_LINE:
        raise CorpusError(
            f"{path} has more than {LONGEST_LINE:,} bytes, which is too long for one text: cut it "
            "into several files, or write it as .jsonl with a text in each line"
        )
    text = _decoded(path.read_bytes())
    if isinstance(text, str):
        text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    yield path.read_bytes() if isinstance(text, str) and "\0" in text else text


def _decoded(value: Any) -> Any:
    """Bytes as the text in UTF-8 that they are; as they stand if they are none."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return value


def _fault(text: Any) -> str | None:
    """Why a text is left out; None if it is one."""
    if isinstance(text, bytes):
        return NO_TEXT
    try:
        check_characters(check_text(text), "text")
    except RecordError as error:
        return error.reason
    return None


class _Shards:
    """The files of the output, open to be written to."""

    def __init__(self, folder: Path, shards: int, undo: ExitStack) -> None:
        names = [f"train/{number:02}" for number in range(shards)] + list(SPLITS)
        (folder / "train").mkdir()
        self._writers = {
            name: undo.enter_context(
                io.TextIOWrapper(
                    zstandard.open(folder / f"{name}.jsonl.zst", "wb"), encoding="utf-8"
                )
            )
            for name in names
        }
        self.counts = {name: Counter[str]() for name in names}

    def write(self, name: str, text: str, subset: str) -> None:
        record = {"text": text, "meta": {"pile_set_name": subset}}
        line = json.dumps(record, ensure_ascii=False) + "\n"
        if len(line) > LONGEST_LINE // 4 and len(line.encode()) > LONGEST_LINE:
            raise CorpusError(
                f"a text that begins {text[:40]!r} takes more than {LONGEST_LINE:,} bytes as a "
                "record, which the workflow does not read: cut it into several"
            )
        self._writers[name].write(line)
        self.counts[name][subset] += 1


def _drawn(text: str, seed: int) -> float:
    """From 0 to 1, by the seed and the text."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _place(drawn: float, val: float, test: float, shards: int) -> str:
    if drawn < test:
        return "test"
    if drawn < test + val:
        return "val"
    share = (drawn - test - val) / (1 - test - val)
    return f"train/{min(int(share * shards), shards - 1):02}"


def _parsed(texts: list[str]) -> list[tuple[str, str]]:
    """Subset and source of each `SUBSET=SOURCE`."""
    pairs = []
    for given in texts:
        name, equals, source = given.partition("=")
        if not (equals and source):
            raise ValueError(f"--texts {given!r}: write SUBSET=PATH, such as 'Enron Emails=mail/'")
        pairs.append((_subset(name.strip()), source))
    return pairs


def import_(
    *,
    texts: list[str],
    output: Path,
    field: str = "text",
    val: float = 0.02,
    test: float = 0.05,
    shards: int = 1,
    seed: int = 1216,
) -> None:
    """Write texts of one's own as a folder in the Pile's layout, split into train, val and test.

    --texts    SUBSET=PATH, one or more: PATH is .jsonl, .jsonl.zst or .parquet with a text in each
               record, a file of text, or a folder of any of these; hf:ID@COMMIT is a data set on
               the hub. SUBSET is that of the Pile's 22 (or its task) which is most like the text
    --output   the new folder: train/NN.jsonl.zst, val, test, and import.json with the counts
    --field    of a record, that has the text
    --val, --test  shares of the texts that are held out
    --shards   of the train texts, which are indexed side by side
    --seed     of the split

    Where a text goes follows from the seed and the text, so equal ones stay together. Empty texts
    and files that are no text in UTF-8 are left out and counted; faulty records are errors.
    """
    if output.exists():
        raise ValueError(f"{output} is there already: name a new folder")
    if not (val >= 0 and test > 0 and val + test < 1):
        raise ValueError(f"--val is {val} and --test {test}: take shares, together less than 1")
    if not 1 <= shards <= 100:
        raise ValueError(f"--shards is {shards}: 1 to 100")
    pairs = _parsed(texts)
    if not pairs:
        raise ValueError("--texts is empty: write SUBSET=PATH, such as 'Enron Emails=mail/'")
    files = [
        (subset, _files(_from_hub(source[len(HUB) :]) if source.startswith(HUB) else Path(source)))
        for subset, source in pairs  # all of them, before the first is read
    ]
    omitted = Counter[str]()
    first = dict[str, Path]()
    with replacing(output, directory=True) as beside:
        with ExitStack() as undo:
            written = _Shards(beside, shards, undo)
            progress = undo.enter_context(tqdm(unit="text", mininterval=5))
            for subset, path in ((subset, path) for subset, paths in files for path in paths):
                for text in _texts(path, field):
                    progress.update()
                    if reason := _fault(text):
                        omitted[reason] += 1
                        first.setdefault(reason, path)
                        continue
                    written.write(_place(_drawn(text, seed), val, test, shards), text, subset)
        left_out = [
            f"left out: {count:,} ({reason}), the first in {first[reason]}"
            for reason, count in omitted.items()
        ]
        counts = {name: dict(sorted(found.items())) for name, found in written.counts.items()}
        if not any(counts.values()):
            raise CorpusError("; ".join(["there is no text", *left_out]))
        for name, found in counts.items():
            if not found and name != "val":
                remedy = "raise --test, or" if name == "test" else "lower --shards, or"
                remedy = "" if name == "train/00" and shards == 1 else f"{remedy} "
                fault = f"{name} would have no text: {remedy}give more texts"
                raise CorpusError("; ".join([fault, *left_out]))
        said = {"texts": texts, "field": field, "val": val, "test": test, "seed": seed}
        write_json(beside / "import.json", {**said, "documents": counts, "omitted": dict(omitted)})
    _tell(output, counts, left_out)


def _tell(output: Path, counts: dict[str, dict[str, int]], left_out: list[str]) -> None:
    for name, found in counts.items():
        each = ", ".join(f"{subset} {count:,}" for subset, count in found.items())
        print(f"{output / name}.jsonl.zst: {sum(found.values()):,} texts ({each or 'none'})")
    for line in left_out:
        print(line, file=sys.stderr)
    missing = {subset for found in counts.values() for subset in found} - set(counts["test"])
    for subset in sorted(missing):
        print(f"warning: no text of {subset} is in test: raise --test", file=sys.stderr)
    shards = sum(name.startswith("train/") for name in counts)
    path = json.dumps(str(output), ensure_ascii=False)  # YAML has strings as JSON has them
    sources = shlex.quote(f"sources={{folder: {{path: {path}}}}}")
    print(
        "now: snakemake --cores 2 --configfile config/pretrained.yaml --config run=mine "
        f"'corpus={{shards: {shards}}}' {sources}"
    )
