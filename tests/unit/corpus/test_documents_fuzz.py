"""Damaged and hostile corpus files: the right documents or one line that names the file.

Fifteen seconds of inputs from a fixed seed; TTTNN_FUZZ_SECONDS gives it more, TTTNN_FUZZ_SEED
another start. What an input needs to be made again is in the failure's message.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tttnn.corpus.documents import read_documents
from tttnn.corpus.download import DownloadSpec, download_shard
from tttnn.corpus.formats import CorpusError

SECONDS = float(os.environ.get("TTTNN_FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("TTTNN_FUZZ_SEED", "0"))
MEMORY = 1 << 30  # bytes that all inputs together may add to the process

SUBSETS = ["ArXiv", "Github", "Wikipedia (en)", "Pile-CC"]
TEXTS = ["One.", "二つ\n三", "x" * 300, 'a "quote" \\ and \t', "\N{GRINNING FACE}", " padded "]
RECORDS = [
    {"text": text, "meta": {"pile_set_name": SUBSETS[number % 4], "n": number, "of": [1.5, None]}}
    for number, text in enumerate(TEXTS * 3)
]
EXPECTED = [(record["text"], record["meta"]["pile_set_name"]) for record in RECORDS]
ODD = [b"\xef\xbb\xbf", b"\n", b"\r\n", b"\0", b"{", b"[" * 2000, b'"', b"\xff", b"null", b"NaN"]
ODD += [b"\xed\xa0\x80", b'\\ud800"', b"9" * 5000, b'{"text":"x"}\n', b"\x28\xb5\x2f\xfd", b"PAR1"]


def jsonl() -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in RECORDS)


def zst(data: bytes, **options: object) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


def parquet(meta: Callable[[list[dict]], dict[str, pa.Array]], **options: object) -> bytes:
    buffer = io.BytesIO()
    columns = {"text": pa.array([record["text"] for record in RECORDS])}
    columns |= meta([record["meta"] for record in RECORDS])
    pq.write_table(pa.table(columns), buffer, row_group_size=7, **options)
    return buffer.getvalue()


def as_map(metas: list[dict]) -> dict[str, pa.Array]:
    pairs = [[("pile_set_name", meta["pile_set_name"])] for meta in metas]
    return {"meta": pa.array(pairs, pa.map_(pa.string(), pa.string()))}


def as_categories(metas: list[dict]) -> dict[str, pa.Array]:
    names = pa.array([meta["pile_set_name"] for meta in metas])
    return {"pile_set_name": names.dictionary_encode(), "meta": pa.nulls(len(metas))}


SEEDS: list[tuple[str, bytes]] = [
    (".jsonl", jsonl()),
    (".jsonl", b"\xef\xbb\xbf" + jsonl().replace(b"\n", b"\r\n")),
    (".jsonl.zst", zst(jsonl())),
    (".jsonl.zst", zst(jsonl(), write_checksum=True, level=19)),
    (".jsonl.zst", zst(jsonl()[:500]) + zst(jsonl()[500:], write_content_size=False)),
    (".parquet", parquet(lambda metas: {"meta": pa.array(metas)})),
    (".parquet", parquet(lambda metas: {"meta": pa.array([json.dumps(m) for m in metas])})),
    (".parquet", parquet(as_map, compression="zstd", write_page_checksum=True)),
    (".parquet", parquet(as_categories, compression="none", data_page_version="2.0")),
    (".parquet", parquet(as_categories, compression="gzip", use_dictionary=False)),
    (".jsonl.zst", gzip.compress(jsonl())),
]


def mutated(data: bytes, dice: random.Random) -> bytes:
    """The bytes after a few of: bits flipped, bytes set, cut out, repeated, put in; cut short."""
    result = bytearray(data)
    for _ in range(dice.choice([1, 1, 1, 2, 5, 30])):
        place = dice.randrange(len(result) + 1)
        length = min(dice.choice([1, 1, 2, 4, 8, 100]), len(result) - place)
        match dice.randrange(7):
            case 0 if length:
                result[place] ^= 1 << dice.randrange(8)
            case 1 if length:
                result[place] = dice.choice([0, 1, 127, 128, 255, dice.randrange(256)])
            case 2:
                del result[place : place + length]
            case 3:
                result[place:place] = result[place : place + length] * dice.randrange(1, 4)
            case 4:
                result[place:place] = dice.choice(ODD)
            case 5:
                result[place : place + length] = dice.randbytes(length)
            case 6:
                del result[place if dice.random() < 0.3 else len(result) :]
    return bytes(result)


def make(number: int) -> tuple[str, bytes]:
    """Input `number` of this seed: a suffix and a file's content."""
    dice = random.Random(f"{SEED}/{number}")
    suffix, data = dice.choice(SEEDS)
    if suffix == ".jsonl.zst" and dice.random() < 0.3:  # a sound frame about unsound text
        return suffix, zst(mutated(jsonl(), dice))
    return suffix, mutated(data, dice)


def check(path: Path, name: str) -> None:
    """Read the file both ways: documents that can be written, or one line with the file's name."""
    for rejected in (None, lambda _: None):
        try:
            documents = list(read_documents(path, needs_subset=False, rejected=rejected))
        except CorpusError as error:
            assert str(path) in str(error), name
            assert len(str(error)) < 5000 and "\n" not in str(error), name
        except Exception as error:
            pytest.fail(f"{name}: {error!r}")
        else:
            for document in documents:
                assert document.text.strip(), name
                document.text.encode()


def grown() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_the_inputs_that_are_damaged_are_right_before(tmp_path: Path) -> None:
    for number, (suffix, data) in enumerate(SEEDS[:-1]):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(data)
        found = [(d.text, d.pile_set_name) for d in read_documents(path, needs_subset=True)]
        assert found == EXPECTED


def test_damaged_shards_give_documents_or_one_line_with_their_name(tmp_path: Path) -> None:
    before, end, number = grown(), time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        suffix, data = make(number)
        path = tmp_path / f"00{suffix}"
        path.write_bytes(data)
        check(path, f"input {number} of seed {SEED}, {suffix}")
        number += 1
    assert number > 0
    assert grown() - before < MEMORY


def test_damaged_shards_are_downloaded_whole_or_not_at_all(tmp_path: Path) -> None:
    """What the stage accepts can be read again, with the counts that its manifest has."""
    folder, outputs = tmp_path / "pile", tmp_path / "corpus"
    (folder / "train").mkdir(parents=True)
    spec = DownloadSpec(
        source={"kind": "local", "path": str(folder)},
        shards=1,
        on_bad_record="reject",
        train_has_subsets=False,
    )
    documents, rejected, manifest = (
        outputs / name for name in ("00.jsonl.zst", "00.rejected.jsonl", "00.json")
    )
    for number in range(150):
        suffix, data = make(1_000_000 + number)
        path = folder / f"train/00{suffix}"
        path.write_bytes(data)
        try:
            download_shard(spec, "00", documents, rejected, manifest)
        except CorpusError as error:
            assert str(path) in str(error), number
            assert not outputs.exists() or not list(outputs.iterdir()), number
        else:
            said = json.loads(manifest.read_text())
            again = list(read_documents(documents, needs_subset=False))
            assert len(again) == said["documents"] > 0, number
            assert sum(len(d.text.encode()) for d in again) == said["text_bytes"], number
            assert len(rejected.read_text().splitlines()) == sum(said["rejected"].values()), number
            for output in (documents, rejected, manifest):
                output.unlink()
        path.unlink()
