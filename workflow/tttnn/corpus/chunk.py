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
from tqdm import tqdm

from tttnn.corpus.documents import Document, read_documents
from tttnn.corpus.layout import check_shard
from tttnn.corpus.passages import PASSAGES, ROW_GROUP, passage_id
from tttnn.digests import check_model
from tttnn.sections.chunk import Chunk
from tttnn.tables import OPTIONS, sealing


def _texts(document: Document, spec: Chunk, tokenizer: object | None) -> Iterator[str]:
    """The passages of a document: itself, or windows of the embedder's tokens.

    Windows are cut in the text, at the character where each window's first token begins, so that
    passages are the document's own characters whatever the tokenizer does to them.
    """
    if tokenizer is None:
        yield document.text
        return
    offsets = tokenizer.encode(document.text, add_special_tokens=False).offsets
    for start in range(0, max(len(offsets), 1), spec.stride_tokens):
        end = start + spec.window_tokens
        first = offsets[start][0] if start else 0
        last = offsets[end][0] if end < len(offsets) else len(document.text)
        if document.text[first:last].strip():
            yield document.text[first:last]
        if end >= len(offsets):
            return


def _load_tokenizer(folder: Path) -> object:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


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
    counter = _load_tokenizer(tokenizer[0]) if tokenizer else None
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
                    for text in _texts(document, spec, counter):
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
