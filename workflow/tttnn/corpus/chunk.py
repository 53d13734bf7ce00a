"""Cut a shard into passages: what is embedded, found and trained on."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer
from tqdm import tqdm

from tttnn.corpus.documents import Document, read_documents
from tttnn.corpus.layout import check_shard
from tttnn.corpus.passages import PASSAGES, ROW_GROUP, passage_id
from tttnn.digests import check_model
from tttnn.sections.chunk import Chunk
from tttnn.spans import Speller
from tttnn.tables import OPTIONS, sealing


def windows(text: str, starts: list[int], length: int, stride: int) -> Iterator[str]:
    """Windows of `length` tokens, every `stride` tokens, by the characters where tokens begin.

    They are slices of the text, from the character at which a window's first token begins to that
    of the first token behind it; put together they are the text. Left out are windows of white
    space alone, and those without a character: all their tokens are within one.
    """
    for start in range(0, max(len(starts), 1), stride):
        end = start + length
        first = starts[start] if start else 0
        last = starts[end] if end < len(starts) else len(text)
        if text[first:last].strip():
            yield text[first:last]
        if end >= len(starts):
            return


def _texts(document: Document, spec: Chunk, spelt: Speller | None) -> Iterator[str]:
    """The passages of a document: itself, or windows of the embedder's tokens."""
    if spelt is None:
        yield document.text
    else:
        starts = spelt.starts(document.text)
        yield from windows(document.text, starts, spec.window_tokens, spec.stride_tokens)


def _flush(rows: dict[str, list], writer: pq.ParquetWriter) -> None:
    writer.write_table(pa.table(rows, schema=PASSAGES), row_group_size=ROW_GROUP)
    for values in rows.values():
        values.clear()


def chunk_shard(
    spec: Chunk,
    number: int,
    documents: Path,
    manifest: Path,
    chunks: list[Path],
    tokenizer: list[Path],
) -> None:
    """Write the passages of train shard `number` as parquet files of about equal document counts.

    `manifest` is the shard's, for its number of documents; `tokenizer` is one model folder for
    `unit: window`, and empty for `unit: document`. Row r of the shard, counted through its chunks,
    has the passage id `passage_id(number, r)`.

    Raises `CorpusError` for a faulty record, and `ValueError` if `documents` is damaged or
    `manifest` counts others.
    """
    total = check_shard(documents, manifest)["documents"]
    if len(tokenizer) != (spec.unit == "window"):
        raise ValueError("unit: window, and it alone, needs one model to count tokens with")
    for folder in tokenizer:
        check_model(folder, ["tokenizer.json"])
    spelt = None
    if tokenizer:
        spelt = Speller(Tokenizer.from_file(str(tokenizer[0] / "tokenizer.json")))
    reader = read_documents(documents, needs_subset=False)
    progress = tqdm(reader, total=total, desc=documents.name, mininterval=10, file=sys.stderr)
    remaining = iter(progress)
    row = read = 0
    with ExitStack() as stack:
        for position, path in enumerate(chunks):
            share = total * (position + 1) // len(chunks) - total * position // len(chunks)
            beside = stack.enter_context(sealing(path))
            rows: dict[str, list] = {name: [] for name in PASSAGES.names}
            with pq.ParquetWriter(beside, PASSAGES, **OPTIONS) as writer:
                for document in islice(remaining, share):
                    read += 1
                    for text in _texts(document, spec, spelt):
                        rows["passage_id"].append(passage_id(number, row))
                        rows["pile_set_name"].append(document.pile_set_name)
                        rows["text"].append(text)
                        rows["sha256"].append(hashlib.sha256(text.encode()).digest())
                        row += 1
                        if len(rows["text"]) == ROW_GROUP:
                            _flush(rows, writer)
                _flush(rows, writer)
        if read != total or next(remaining, None) is not None:
            raise ValueError(
                f"{documents} does not hold the {total} documents that {manifest} counts: remove "
                "both and fetch the shard again"
            )
