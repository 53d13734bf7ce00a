"""What test-time training takes."""

from __future__ import annotations

from tttnn.methods.ttt.settings import Recipe
from tttnn.needs.kinds import Passes

TRAINED, ADAPTED = 5, 1  # copies: weights, gradients, two moments and what puts them back; weights
LOWERED = 2  # more of them: weights and gradients in half the bytes, and the weights that are kept


def passes(recipe: Recipe) -> Passes:
    """A step for each neighbour, of `batch` one on all of them as often; and the measurements."""
    neighbors = recipe.num_neighbors
    steps = neighbors**2 if recipe.step == "batch" else neighbors
    copies = TRAINED if recipe.lora is None else ADAPTED
    if recipe.precision == "bfloat16":
        copies += LOWERED if recipe.lora is None else 1
    return Passes(steps, len(recipe.evaluate_at), copies)
