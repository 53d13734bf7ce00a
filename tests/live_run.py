"""A run's results, as far as a live search needs them, and servers of its shards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from shards import write_passages, write_vectors
from tttnn.digests import read_record, write_record
from tttnn.files import sha256
from tttnn.live.limits import Limits
from tttnn.live.metrics import Log
from tttnn.live.server import Server
from tttnn.live.shard import OpenShard, Run

ROOT = Path(__file__).parents[1]
NAME = "live"
SUBSET = "Github"


class Quiet(Log):
    """Keeps what would be logged."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict] = []

    def __call__(self, event: str, **said) -> None:
        self.events.append({"event": event, **said})


class LiveRun(NamedTuple):
    """A run in `root`, with all ids and vectors in their order."""

    root: Path
    run: Run
    ids: np.ndarray
    vectors: np.ndarray

    @property
    def files(self) -> dict[str, list[Path]]:
        found = [self.run.files(shard) for shard in self.run.config.shards]
        return {
            "passages": [path for passages, _ in found for path in passages],
            "embeddings": [path for _, embeddings in found for path in embeddings],
        }

    def text(self, passage: int) -> str:
        return f"passage {passage}"


def write_run(
    root: Path, counts: list[list[int]], vectors: np.ndarray, *, embedder: str = "some", **index
) -> LiveRun:
    """`counts` has the number of passages of each shard's chunks, which are as many for each."""
    values = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    values["run"] = NAME
    values["corpus"]["shards"] = len(counts)
    values["chunk"]["chunks_per_shard"] = len(counts[0])
    values["embed"]["max_tokens"] = 64  # positions of the smallest encoder in tests
    values["search"]["indexes"] = ["flat"]
    values["indexes"]["flat"] |= index
    folder = root / "results" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    ids, used = [], 0
    for shard, chunks in enumerate(counts):
        row = 0
        for chunk, count in enumerate(chunks):
            numbers = [shard * 2**40 + row + i for i in range(count)]
            texts = [f"passage {passage}" for passage in numbers]
            name = f"{shard:02d}/{chunk}"
            passages = write_passages(folder / f"passages/{name}.parquet", numbers, texts, SUBSET)
            path = folder / f"embeddings/embedder/{name}.npy"
            write_vectors(path, passages, np.asarray(vectors[used : used + count], np.float32))
            manifest = path.with_suffix(".json")
            said = {"embedder": embedder, "sha256": sha256(path)}
            write_record(manifest, read_record(manifest) | said)
            ids += numbers
            row, used = row + count, used + count
    return LiveRun(
        root, Run(root / "results" / NAME), np.array(ids), np.asarray(vectors, np.float32)
    )


@contextmanager
def serving(
    run: Run, *shards: str, limits: Limits | None = None, host: str = "127.0.0.1", port: int = 0,
    scheme: str = "grpc", **options,
) -> Iterator[Server]:  # fmt: skip
    """A server in this process, which stops at the end."""
    limits = limits or Limits(grace_seconds=2.0)
    held = [OpenShard(run, name) for name in shards]
    location = f"{scheme}://{host}:{port}"
    server = Server(location, run.build(), held, limits, log=Quiet(), **options)
    try:
        yield server
    finally:
        server.stop()


def servers_file(path: Path, *servers: Server) -> Path:
    path.write_text("".join(f"127.0.0.1:{server.port}\n" for server in servers), encoding="utf-8")
    return path
