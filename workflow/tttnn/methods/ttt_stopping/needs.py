"""What test-time training takes that stops early."""

from __future__ import annotations

from tttnn.methods.ttt_stopping.settings import Stopping
from tttnn.needs.kinds import Passes, load
from tttnn.sections.kinds import METHODS


def passes(recipe: Stopping) -> Passes:
    """As if no document stopped: all steps, and the first half after each of them."""
    whole: Passes = load(METHODS, "ttt").passes(recipe)
    return whole._replace(forward=whole.forward + (1 + recipe.num_neighbors) / 2)
