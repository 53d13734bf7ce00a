"""All of a document as its query, not its beginning alone: a vector for each of its windows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tttnn.sections.base import Section
from tttnn.sections.selection import Selection


class Windows(Section):
    """Windows of as many tokens as are embedded, one after the other."""

    most: int = Field(gt=0)  # of a document, the first ones


class Windowed(Section):
    """Searches every passage for those near the windows of a document."""

    embedder: str  # whose vectors are compared
    # mean: near the windows' mean; any: near any of them, so those of all windows' searches that
    # are nearest to theirs; absolute: the inner product with the mean, of vectors of unit length,
    # is large or far below zero, as the authors' library has it (`also_query_opposite`)
    by: Literal["mean", "any", "absolute"]


class ByWindows(Selection):
    """A selection for all of a document.

    Its module has `choose(spec, ranks, candidates, targets)`, as `Selection` says, but with the
    unit vectors (m, d) of the document's windows in the place of one.
    """
