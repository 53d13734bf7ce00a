"""The project's own generator as a source."""

from __future__ import annotations

from pathlib import Path

from tttnn.config.corpus import DemoSource
from tttnn.demo.corpus import generate
from tttnn.documents import write_records
from tttnn.files import sha256
from tttnn.sources.layout import Fetched


def fetch(source: DemoSource, shard: str, shards: int, path: Path) -> Fetched:
    """Generate the shard, one of `shards` train shards or a held-out one, at `path`."""
    write_records(path, generate(source, shard, shards))
    return Fetched(path, sha256(path), {}, temporary=True)
