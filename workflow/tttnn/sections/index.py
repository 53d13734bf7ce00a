"""What every type of index has."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from tttnn.sections.base import Section


class Index(Section):
    """An index over the passages' embeddings, squared Euclidean distance.

    `kind` names the folder of `tttnn.retrieval.indexes`; it follows from `factory`, faiss's index
    string, and need not be given. The folder's `engine` has the functions that `tttnn.retrieval`
    calls for this type (see there), its `needs` says what they take (see `tttnn.needs.kinds`).
    """

    kind: str  # follows from factory
    embedder: str  # a model of the catalogue
    factory: str  # faiss's index string
    share: float = Field(default=1.0, gt=0, le=1)  # of the passages, drawn by their ids
    seed: int = Field(default=0, ge=0)  # of the draw of the share

    FORMS: ClassVar[tuple[str, ...]] = ()
    """How index strings of this type look, for messages."""
    ASKED: ClassVar[frozenset[str]] = frozenset()
    """Settings that are for those who search; the index is the same without."""

    LEARNS: ClassVar[bool] = True
    """Whether the type has files of its own: a training, and a shard's index each."""

    @classmethod
    def accepts(cls, factory: Any) -> bool:
        """Whether an index string is of this type."""
        raise NotImplementedError

    def built(self) -> dict[str, Any]:
        """The settings that decide what the index is."""
        return self.model_dump(mode="json", exclude=set(self.ASKED))

    def asked(self) -> dict[str, Any]:
        """The settings that decide what a search of it finds."""
        return self.model_dump(mode="json", include={"kind", *self.ASKED})
