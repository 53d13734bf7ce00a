"""Reading a shard (zstd, JSON, all checks), beside a record at a time through Python's json.

python benchmarks/reading.py [SHARD.jsonl.zst] [--megabytes 125] [--repeats 5]

The shard's content is repeated to so many megabytes in a temporary folder; without one it is the
demo's. Processor time, in turns; the ratio's median and range. Every document of both is compared.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from tttnn.corpus.documents import Document, read_documents
from tttnn.corpus.meta import CERTAIN, POSSIBLE
from tttnn.demo.corpus import generate
from tttnn.demo.settings import DemoSource
from tttnn.pile import TASK_OF_SUBSET

PIECE = 1 << 11  # bytes, as the workflow reads
MOST = 1 << 27  # bytes of a line, and of zstd's window


def plain_lines(path: Path) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=MOST)
    frame, pieces, length = None, [], 0
    with path.open("rb") as file:
        while block := file.read(PIECE):
            while block:
                frame = frame or decompressor.decompressobj()
                for piece in io.BytesIO(frame.decompress(block)):
                    pieces.append(piece)
                    length += len(piece)
                    if length > MOST:
                        raise ValueError("too long")
                    if piece.endswith(b"\n"):
                        yield b"".join(pieces).removeprefix(b"\xef\xbb\xbf")
                        pieces, length = [], 0
                block = b""
                if frame.eof:
                    block, frame = frame.unused_data, None
    if frame:
        raise ValueError("cut short")
    if pieces:
        yield b"".join(pieces)


def deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(each, levels - 1) for each in inner)


def stated(names: tuple[str, ...], meta: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{prefix}{name}": value
        for prefix, values in (("meta.", meta), ("", record))
        for name, value in values.items()
        if name in names and value is not None
    }


def plain_subset(record: dict[str, Any], meta: dict[str, Any]) -> str | None:
    certain = stated(CERTAIN, meta, record)
    if not all(isinstance(name, str) and name in TASK_OF_SUBSET for name in certain.values()):
        raise ValueError("unknown subset")
    possible = stated(POSSIBLE, meta, record)
    names = [name for name in possible.values() if isinstance(name, str)]
    found = [*certain.values(), *(name for name in names if name in TASK_OF_SUBSET)]
    if len(set(found)) > 1:
        raise ValueError("two subsets")
    return found[0] if found else None


def plain_documents(path: Path) -> Iterator[Document]:
    """What `read_documents` gives of a file without faults, with the same checks."""
    for line, raw in enumerate(plain_lines(path), start=1):
        if not raw or raw.isspace():
            continue
        record = json.loads(raw.decode("utf-8"))
        if not isinstance(record, dict):
            raise ValueError("not an object")
        text = record.get("text")
        if text is None or not isinstance(text, str) or not text or text.isspace():
            raise ValueError("no text")
        text.encode("utf-8")  # raises for a lone surrogate
        meta = record.get("meta") or {}
        if not isinstance(meta, dict) or not all(isinstance(key, str) for key in meta):
            raise ValueError("meta is not an object")
        if deeper(meta, 100):
            raise ValueError("meta is too deep")
        subset = plain_subset(record, meta)
        yield Document(line, text, subset, {**meta, "pile_set_name": subset} if subset else meta)


def demo_content() -> bytes:
    source = DemoSource(
        kind="demo",
        train_documents=20_000,
        val_documents=1,
        test_documents=1,
        copies=0,
        seed=0,
    )
    records = (record for record in generate(source, "00", 1) if record["text"].strip())
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shard", type=Path, nargs="?")
    parser.add_argument("--megabytes", type=int, default=125)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if options.shard:
        with options.shard.open("rb") as file:
            content = zstandard.ZstdDecompressor().stream_reader(file).read()
    else:
        content = demo_content()
    copies = -(-options.megabytes * 1_000_000 // len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "00.jsonl.zst")
        with path.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as out:
            for _ in range(copies):
                out.write(content)
        pairs = zip(plain_documents(path), read_documents(path, needs_subset=False), strict=True)
        compared = 0
        for compared, (plain, fast) in enumerate(pairs, start=1):
            if plain != fast:
                sys.exit(f"document {compared} differs: {plain} and {fast}")
        print(
            f"{copies * len(content) / 1e6:.0f} MB of JSON in {path.stat().st_size / 1e6:.0f} MB "
            f"of zstd, {compared} documents, all equal"
        )
        ways: dict[str, Callable[[], object]] = {
            "json, a record at a time": lambda: deque(plain_documents(path), maxlen=0),
            "read_documents": lambda: deque(read_documents(path, needs_subset=False), maxlen=0),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, work in ways.items():
                spent[name].append(seconds(work))
        size = copies * len(content) / 1e6
    for name, values in spent.items():
        median = statistics.median(values)
        print(f"{name:26} {median:6.3f} s of processor time, {size / median:4.0f} MB/s")
    ratios = [plain / fast for plain, fast in zip(*spent.values(), strict=True)]
    print(
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"{options.repeats} times in turns"
    )


if __name__ == "__main__":
    main()
