"""What test-time training takes."""

from __future__ import annotations

from tttnn.methods.ttt.settings import Recipe
from tttnn.needs.kinds import Passes

TRAINED, ADAPTED = 5, 1  # copies: weights, gradients, two moments and what puts them back; weights


def passes(recipe: Recipe) -> Passes:
    """A step for each neighbour, of `batch` one on all of them as often; and the measurements."""
    neighbors = recipe.num_neighbors
    steps = neighbors**2 if recipe.step == "batch" else neighbors
    copies = TRAINED if recipe.lora is None else ADAPTED
    return Passes(steps, len(recipe.evaluate_at), copies)
