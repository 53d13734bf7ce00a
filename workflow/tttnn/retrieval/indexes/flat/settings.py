"""Settings of an exact index."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from tttnn.sections.index import Index


class Flat(Index):
    """Exact, the paper's: the embeddings themselves, of which every one is compared."""

    kind: Literal["flat"]
    factory: Literal["Flat"]  # exact

    FORMS: ClassVar[tuple[str, ...]] = ("Flat",)
    LEARNS: ClassVar[bool] = False

    @classmethod
    def accepts(cls, factory: Any) -> bool:
        return factory == "Flat"
