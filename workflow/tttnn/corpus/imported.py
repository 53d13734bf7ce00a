"""`tttnn import`: texts of one's own as a folder in the Pile's layout, which the workflow reads.

A text's place, in train, val or test and in which shard, follows from the seed and the text alone:
neither order nor other texts change it, and equal texts are never on both sides.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import sys
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from tqdm import tqdm

from tttnn.corpus.formats import CorpusError
from tttnn.corpus.inputs import HUB, NAMED, check_names, files_of, from_hub, named, texts_of
from tttnn.corpus.raw import LONGEST_LINE, Progress
from tttnn.corpus.records import RecordError, check_characters, check_text
from tttnn.files import replacing, write_json
from tttnn.pile import SPLITS, TASK_OF_SUBSET
from tttnn.wording import counted

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


class _Found:
    """What was met in the files, beside the texts that were written."""

    def __init__(self) -> None:
        self.omitted = Counter[str]()
        self.files: dict[str, list[Path]] = {}
        self.latest: dict[str, Path] = {}
        self.counts = Counter[str]()  # of files
        self.renamed = Counter[tuple[str, str]]()
        self.faults: list[str] = []
        self.drawn = array("d")

    def leave_out(self, reason: str, path: Path) -> None:
        """Count a text that is none, and note the file."""
        self.omitted[reason] += 1
        if self.latest.get(reason) != path:
            self.latest[reason] = path
            self.counts[reason] += 1
            if self.counts[reason] <= NAMED:
                self.files.setdefault(reason, []).append(path)

    def copies(self) -> int:
        """Texts that are equal to one before them."""
        return len(self.drawn) - len(np.unique(self.drawn))

    def left_out(self) -> list[str]:
        """A line for each reason."""
        return [
            f"left out: {count:,} ({reason}), in {named(self.files[reason], self.counts[reason])}"
            for reason, count in self.omitted.items()
        ]

    def notes(self) -> list[str]:
        """Lines about what is not as it may seem."""
        lines = [
            f"note: {counted(count, 'text')} given as {given} named {own} as the subset: {given} "
            "is written, as --texts says"
            for (given, own), count in sorted(self.renamed.items())
        ]
        if copies := self.copies():
            lines.append(
                f"note: {counted(copies, 'text')} of {len(self.drawn):,} are copies of another: "
                "they are kept, on the same side of the split"
            )
        return lines


def _read(
    files: list[tuple[str, Path]],
    field: str,
    written: _Shards,
    place: Callable[[float], str],
    seed: int,
) -> _Found:
    """Write the files' texts; raises `CorpusError` with the first fault of each faulty file."""
    found = _Found()
    sizes = [path.stat().st_size if path.is_file() else 0 for _, path in files]
    with tqdm(total=sum(sizes), unit="B", unit_scale=True, mininterval=5, delay=5) as bar:
        for (subset, path), size in zip(files, sizes, strict=True):
            before, read = bar.n, Progress()
            try:
                for text, own in texts_of(path, field, read):
                    bar.update(before + int(read.share * size) - bar.n)
                    if reason := _fault(text):
                        found.leave_out(reason, path)
                        continue
                    drawn = _drawn(text, seed)
                    found.drawn.append(drawn)
                    found.renamed.update([(subset, own)] if own not in (None, subset) else [])
                    written.write(place(drawn), text, subset)
            except ValueError as error:
                found.faults.append(str(error))
                if len(found.faults) == NAMED:
                    found.faults.append("(no more files were read)")
                    break
            bar.update(before + size - bar.n)
    if found.faults:
        raise CorpusError("\n".join(found.faults))
    return found


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

    --texts    SUBSET=PATH, one or more: PATH is .jsonl, .jsonl.zst, .ndjson, .parquet, .csv or .tsv
               with a text in each record, a file of text, or a folder of any of these; hf:ID@COMMIT
               is a data set on the hub. SUBSET is that of the Pile's 22 (or its task) which is most
               like the text; it is written whatever a record says itself, which is counted
    --output   the new folder: train/NN.jsonl.zst, val, test, and import.json with the counts
    --field    of a record, that has the text
    --val, --test  share of the texts that is held out
    --shards   of the train texts, which are indexed side by side
    --seed     of the split

    Where a text goes follows from the seed and the text, so equal ones stay together. Empty texts
    and files that are no text in UTF-8 are left out and counted; faulty records are errors, the
    first of each file. Copies of a text are kept and counted.
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
        (subset, file)
        for subset, source in pairs  # all of them, before the first is read
        for file in files_of(
            from_hub(source[len(HUB) :]) if source.startswith(HUB) else Path(source)
        )
    ]
    check_names([file for _, file in files])
    with replacing(output, directory=True) as beside:
        with ExitStack() as undo:
            written = _Shards(beside, shards, undo)
            found = _read(
                files, field, written, lambda drawn: _place(drawn, val, test, shards), seed
            )
        counts = {name: dict(sorted(each.items())) for name, each in written.counts.items()}
        if not any(counts.values()):
            raise CorpusError("; ".join(["there is no text", *found.left_out()]))
        for name, each in counts.items():
            if not each and name != "val":
                remedy = "raise --test, or" if name == "test" else "lower --shards, or"
                remedy = "" if name == "train/00" and shards == 1 else f"{remedy} "
                fault = f"{name} would have no text: {remedy}give more texts"
                raise CorpusError("; ".join([fault, *found.left_out()]))
        said = {"texts": texts, "field": field, "val": val, "test": test, "seed": seed}
        said |= {"documents": counts, "omitted": dict(found.omitted), "copies": found.copies()}
        write_json(beside / "import.json", said)
    _tell(output, counts, [*found.left_out(), *found.notes()])


def _tell(output: Path, counts: dict[str, dict[str, int]], notes: list[str]) -> None:
    for name, found in counts.items():
        each = ", ".join(f"{subset} {count:,}" for subset, count in found.items())
        print(
            f"{output / name}.jsonl.zst: {counted(sum(found.values()), 'text')} ({each or 'none'})"
        )
    for line in notes:
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
