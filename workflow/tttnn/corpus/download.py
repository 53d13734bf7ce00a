"""Bring a shard of the corpus here, check every record of it, and say what it holds."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, SerializeAsAny
from tqdm import tqdm

from tttnn.corpus.documents import Document, Rejection, hint, read_documents, write_records
from tttnn.corpus.formats import ArchiveError, CorpusError
from tttnn.corpus.layout import Fetched
from tttnn.digests import write_record
from tttnn.files import replacing, sha256
from tttnn.pile import SPLITS
from tttnn.sections.base import Section
from tttnn.sections.kinds import SOURCES, checked, load
from tttnn.sections.source import Source


class DownloadSpec(Section):
    """What `download_shard` reads of the configuration."""

    # checked by its own class, so that the fingerprint covers this kind of source and no other
    source: SerializeAsAny[Annotated[Source, BeforeValidator(partial(checked, SOURCES))]]
    shards: int
    on_bad_record: Literal["fail", "reject"]
    train_has_subsets: bool


@dataclass
class Tally:
    """What a shard holds, counted while it streams by."""

    documents: int = 0
    text_bytes: int = 0
    subsets: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    hint: str = ""  # what the first record left out suggests

    def counted(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            self.documents += 1
            text = document.text
            self.text_bytes += len(text) if text.isascii() else len(text.encode("utf-8"))
            self.subsets[document.pile_set_name or ""] += 1
            yield document


def _as_records(documents: Iterable[Document]) -> Iterator[dict[str, Any]]:
    return ({"text": document.text, "meta": document.meta} for document in documents)


def _check(
    spec: DownloadSpec, shard: str, fetched: Fetched, documents: Path, rejected: Path
) -> Tally:
    """Write `documents` and `rejected` from the fetched file, and count."""
    tally = Tally()
    needs_subset = shard in SPLITS or spec.train_has_subsets
    with replacing(rejected) as listed, listed.open("w", encoding="utf-8") as list_file:

        def reject(rejection: Rejection) -> None:
            if not tally.rejected:
                tally.hint = hint(rejection)
            tally.rejected[rejection.reason] += 1
            list_file.write(json.dumps(rejection._asdict()) + "\n")

        read = read_documents(
            fetched.path,
            needs_subset=needs_subset,
            rejected=reject if spec.on_bad_record == "reject" else None,
        )
        accepted = tqdm(
            tally.counted(read),
            desc=f"check {shard}",
            unit=" documents",
            mininterval=0.5 if sys.stderr.isatty() else 10,
        )
        with replacing(documents) as beside:
            if not fetched.path.name.endswith(".jsonl.zst"):
                write_records(beside, _as_records(accepted))
            else:
                deque(accepted, maxlen=0)
                if tally.rejected:
                    again = read_documents(
                        fetched.path, needs_subset=needs_subset, rejected=lambda _: None
                    )
                    write_records(beside, _as_records(again))
                else:
                    keep = shutil.move if fetched.temporary else shutil.copyfile
                    keep(fetched.path, beside)
            if not tally.documents:
                listing = "; ".join(f"{why}: {count}" for why, count in tally.rejected.items())
                raise CorpusError(
                    f"{fetched.path} has no document ({listing or 'it is empty'}).{tally.hint}"
                )
    return tally


def _discard(partial: Path) -> None:
    for leftover in partial.parent.glob(f"{partial.name}*"):
        leftover.unlink()


def download_shard(
    spec: DownloadSpec, shard: str, documents: Path, rejected: Path, manifest: Path
) -> None:
    """Write a shard as `.jsonl.zst`, the records left out of it, and what it holds.

    A `.jsonl.zst` file without faults is kept byte for byte; any other is written anew, with
    `text` and `meta` of each record. `rejected` has a JSON line for each record left out, and is
    empty with `on_bad_record: fail`. Raises `CorpusError` (see `read_documents` and the sources),
    also for a shard in which no document is left.
    """
    part = documents.with_name(f".{shard}.part")
    documents.parent.mkdir(parents=True, exist_ok=True)
    fetched = load(SOURCES, spec.source.kind).fetch(spec.source, shard, spec.shards, part)
    try:
        tally = _check(spec, shard, fetched, documents, rejected)
    except CorpusError as error:
        if isinstance(error, ArchiveError):  # what arrived is of no use to the next attempt
            _discard(part)
        origin = ", ".join([spec.source.kind, *fetched.origin.values()])
        raise type(error)(f"{error} (Shard {shard}, from {origin})") from error
    write_record(
        manifest,
        {
            "shard": shard,
            "source": {
                "kind": spec.source.kind,
                **fetched.origin,
                **(fetched.version or {}),
                "sha256": fetched.sha256,
            },
            "sha256": sha256(documents),
            "bytes": documents.stat().st_size,
            "documents": tally.documents,
            "text_bytes": tally.text_bytes,
            "subsets": dict(sorted(tally.subsets.items())),
            "rejected": dict(sorted(tally.rejected.items())),
        },
    )
    _discard(part)
