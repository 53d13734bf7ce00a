"""Settings of an exact index."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from tttnn.sections.index import Index


class Flat(Index):
    """Exact, the paper's: nothing is learnt, every vector is compared."""

    kind: Literal["flat"]
    factory: Literal["Flat"]

    FORMS: ClassVar[tuple[str, ...]] = ("Flat",)

    @classmethod
    def accepts(cls, factory: Any) -> bool:
        return factory == "Flat"
