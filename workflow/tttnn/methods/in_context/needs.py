"""What in-context learning takes."""

from __future__ import annotations

from tttnn.methods.in_context.settings import InContext
from tttnn.needs.kinds import Passes


def passes(recipe: InContext) -> Passes:
    """The document after each number of neighbours."""
    return Passes(0, len(recipe.evaluate_at), 1)
