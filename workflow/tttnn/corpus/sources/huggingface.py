"""Files of a data set on the Hugging Face hub, through the hub's own cache."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal, Self

import huggingface_hub
from huggingface_hub import errors

from tttnn.corpus.formats import CorpusError, suffix
from tttnn.corpus.layout import Fetched, check_fetched
from tttnn.sections.source import DigestedSource, FileName


class HuggingFaceSource(DigestedSource):
    """Files of a data set on the Hugging Face hub, at one pinned revision."""

    kind: Literal["huggingface"]
    dataset: str  # its id on the hub
    revision: str  # a commit, so that the same text comes back
    # shard ("00", "01", ..., "val", "test") -> its file in the data set
    files: dict[str, FileName]

    def unnamed(self, shards: Iterable[str]) -> list[str]:
        return [shard for shard in shards if shard not in self.files]

    def file_names(self, shard: str) -> list[str]:
        return [self.files[shard]]

    def for_shard(self, shard: str) -> Self:
        return super().for_shard(shard).model_copy(update={"files": {shard: self.files[shard]}})


# the first that fits; a gated repository is also one that cannot be found
REMEDIES: list[tuple[type[Exception], str]] = [
    (
        errors.GatedRepoError,
        "the data set is gated: accept its terms on its page, then log in with `hf auth login` "
        "or set HF_TOKEN",
    ),
    (
        errors.RevisionNotFoundError,
        "the data set has no such revision: take a commit from the history on its page",
    ),
    (
        errors.RepositoryNotFoundError,
        "there is no such data set, or it is private: check the id, log in with `hf auth login` "
        "or set HF_TOKEN",
    ),
    (
        errors.RemoteEntryNotFoundError,
        "the revision has no such file: compare the source's `files` with the data set's page",
    ),
    (
        errors.LocalEntryNotFoundError,
        "it is not in the cache and the hub cannot be reached: check the connection, or fetch it "
        "on a machine that has one, with the same HF_HOME",
    ),
]
OFFLINE = (
    "it is not in the cache and HF_HUB_OFFLINE is set: unset it, or fetch the file on a machine "
    "with a connection and the same HF_HOME"
)


def _lfs_sha256(path: Path) -> str | None:
    """The digest the hub gives for a cached file; None where it gives none.

    In the cache a snapshot's file is a link to a blob named by the hub's ETag, which is the
    SHA-256 of a large file and a git object id of a small one. One link only is followed: a blob
    may itself be a link into a store that is named by another hash.
    """
    blob = path.readlink().name if path.is_symlink() else ""
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None


def fetch(source: HuggingFaceSource, shard: str, shards: int, partial: Path) -> Fetched:
    """The shard's file in the hub's cache, fetched if it is not there.

    Raises `CorpusError` if the hub or the cache cannot give it, or if its digest is neither the
    configured one nor the hub's.
    """
    name = source.files[shard]
    suffix(name)  # before the transfer rather than after it
    what = f"{name} of the data set {source.dataset} at {source.revision}"
    try:
        path = Path(
            huggingface_hub.hf_hub_download(
                source.dataset, name, repo_type="dataset", revision=source.revision
            )
        )
    except (
        errors.HTTPError,  # type: ignore[attr-defined]  # imported there: whichever its client has
        errors.LocalEntryNotFoundError,
        errors.HFValidationError,
    ) as error:
        if isinstance(error.__cause__, errors.OfflineModeIsEnabled):
            remedy = OFFLINE
        else:
            known = (remedy for kind, remedy in REMEDIES if isinstance(error, kind))
            remedy = next(known, "the hub cannot be asked")
        cause = str(error.__cause__ or error).splitlines()[0]
        raise CorpusError(f"cannot fetch {what}: {remedy} ({cause}).") from error
    remedy = f"Delete {path.resolve()} and run again, or correct sha256 in the source."
    digest = check_fetched(path, what, remedy, _lfs_sha256(path), source.sha256.get(name))
    commit = path.parents[len(PurePosixPath(name).parts) - 1].name  # snapshots/<commit>/<name>
    origin = {"dataset": source.dataset, "revision": source.revision, "commit": commit}
    return Fetched(path, digest, {**origin, "file": name})
