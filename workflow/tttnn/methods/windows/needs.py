"""What reading a long document window by window takes."""

from __future__ import annotations

from tttnn.methods.windows.settings import WindowRecipe
from tttnn.needs.kinds import Passes, load
from tttnn.sections.kinds import METHODS


def passes(recipe: WindowRecipe) -> Passes:
    """Of a document: a step on each neighbour, the measurements, and what is learnt once scored.

    A window's neighbours are as long as a window, or as passages are: `tttnn.methods.needs` counts
    how many windows there are. Where the weights of a window depend on how many neighbours those
    before it had, the document is read anew for each number of them.
    """
    points = recipe.evaluate_at[1:]
    each = recipe.carry or (recipe.score_first is not None and recipe.query in ("document", "none"))
    neighbors = sum(points) if each else recipe.num_neighbors
    learnt = 0 if recipe.score_first is None else len(points) if each else 1
    steps = neighbors if recipe.query == "none" else neighbors + learnt
    training = recipe.training()
    needs = load(METHODS, training.kind)
    copies = needs.passes(training).copies
    if recipe.puts_back and recipe.score_first is not None:
        # what scored windows taught while neighbours teach more, and moments of their own
        plain = training.model_copy(update={"optimizer": "sgd", "momentum": 0.0})
        copies += 1 + copies - needs.passes(plain).copies
    return Passes(steps, len(recipe.evaluate_at), copies)
