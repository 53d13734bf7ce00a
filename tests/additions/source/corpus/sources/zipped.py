"""The Pile's layout inside a zip archive."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Literal

from tttnn.corpus.documents import CorpusError
from tttnn.corpus.layout import Fetched, check_fetched
from tttnn.sections.source import DigestedSource, stem


class ZippedSource(DigestedSource):
    """One archive that holds `train/NN.jsonl`, `val.jsonl` and `test.jsonl`."""

    kind: Literal["zipped"]
    path: str


def fetch(source: ZippedSource, shard: str, shards: int, partial: Path) -> Fetched:
    """Unpack the shard's file; raises `CorpusError` if the archive lacks it."""
    name, path = f"{stem(shard)}.jsonl", partial.with_name(f"{partial.name}.jsonl")
    with zipfile.ZipFile(source.path) as archive:
        if name not in archive.namelist():
            raise CorpusError(f"{source.path} holds no {name}: lower corpus.shards, or pack it")
        with archive.open(name) as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file)
    remedy = "Pack it again, or correct sha256 in the source."
    digest = check_fetched(path, f"{name} of {source.path}", remedy, source.sha256.get(name))
    return Fetched(path, digest, {"file": f"{source.path}:{name}"}, temporary=True)
