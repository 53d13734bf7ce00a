"""What a control that does nothing takes."""

from __future__ import annotations

from tttnn.methods.unchanged.settings import Unchanged

from tttnn.needs.kinds import Passes


def passes(recipe: Unchanged) -> Passes:
    """The document, once."""
    return Passes(0, 1, 1)
