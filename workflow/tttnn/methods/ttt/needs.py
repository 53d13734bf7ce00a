"""What test-time training takes."""

from __future__ import annotations

from tttnn.methods.ttt.settings import HELD, Recipe
from tttnn.needs.kinds import Passes

SHARES = {"all": 1.0, "mlp_out": 1 / 3, "last_quarter": 1 / 3, "query": 1 / 8, "lora": 0.0}
"""Of the weights that are trained, at most: of GPT-2's and Llama's blocks; a quarter of six is two;
adapters are small."""
MOMENTS = {"adamw": 2, "sgd": 1}


def passes(recipe: Recipe) -> Passes:
    """A step for each neighbour, of `batch` one on all of them as often; and the measurements."""
    neighbors = recipe.num_neighbors
    steps = neighbors**2 if recipe.step == "batch" else neighbors
    share = SHARES[recipe.train if recipe.lora is None else "lora"]
    # of what is trained: gradients, what puts the weights back, moments, gradients that are held
    trained = 2.0 + MOMENTS[recipe.optimizer] + (HELD if recipe.reuse > 1 else 0)
    if recipe.optimizer == "sgd" and not recipe.momentum:
        trained -= 1
    copies = 1 + share * trained
    if recipe.precision == "bfloat16":
        # the weights in half the bytes, and of what is trained gradients so and weights kept whole
        copies += 0.5 + share * 1.5
    return Passes(steps, len(recipe.evaluate_at), copies)
