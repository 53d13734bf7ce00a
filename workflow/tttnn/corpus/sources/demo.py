"""The project's own generator as a source."""

from __future__ import annotations

from pathlib import Path

from tttnn.corpus.documents import write_records
from tttnn.corpus.layout import Fetched
from tttnn.demo.settings import DemoSource
from tttnn.files import sha256


def fetch(source: DemoSource, shard: str, shards: int, partial: Path) -> Fetched:
    """Generate the shard, one of `shards` train shards or a held-out one."""
    from tttnn.demo.corpus import generate  # dozens of modules, which a plan has no use for

    path = partial.with_name(f"{partial.name}.jsonl.zst")
    write_records(path, generate(source, shard, shards))
    return Fetched(path, sha256(path), {}, temporary=True)
