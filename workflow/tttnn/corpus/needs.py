"""What it takes to fetch the corpus and to cut it."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import PYTHON, SHRUNK, START, TEXT_BYTES
from tttnn.needs.scale import Formula, Scale

CORPUS_SHRUNK = 3  # text by its bytes in a .jsonl.zst: assumed
CUTTING = 1.2  # Python and the groups of rows being written: assumed
HELD = 2.5  # a held-out split's text, as it is read, in records and in columns: assumed
FILE_SECONDS, FILE_BYTES = 0.01, 100  # to list a file: assumed


def download_shard(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    size, texts = scale.bytes_of(wildcards["shard"]), scale.texts
    return Need(PYTHON, START + size / texts.fetched, size / CORPUS_SHRUNK, texts.fetched_from)


def chunk_shard(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    size = scale.texts.bytes
    seconds = START + size / TEXT_BYTES
    return Need(CUTTING * PYTHON, seconds, size / SHRUNK, "50 MB of text a second")


def list_passages(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    files = len(scale.shards) * scale.chunk.chunks_per_shard
    return Need(PYTHON, START + FILE_SECONDS * files, FILE_BYTES * files, "10 ms a file")


def select_documents(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Of a split that has as many documents as are selected, or of which a fraction is."""
    read = scale.query_bytes / (scale.select.fraction or 1)
    seconds = START + read / TEXT_BYTES
    disk = scale.query_bytes / SHRUNK
    return Need(PYTHON + HELD * read, seconds, disk, "50 MB of text a second")


FORMULAS: dict[str, Formula] = {
    "download_shard": download_shard,
    "chunk_shard": chunk_shard,
    "list_passages": list_passages,
    "select_documents": select_documents,
}
"""By rule."""
