"""What it takes to split documents and to evaluate methods.

What depends on the kind of method stands in the kind's own `needs` (see `tttnn.needs.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.methods.windows.settings import WindowRecipe
from tttnn.needs.kinds import load
from tttnn.needs.need import Need
from tttnn.needs.rates import (
    CHOOSING,
    SHRUNK,
    START_TORCH,
    TOKEN_BYTES,
    TOKENISED,
    TORCH,
    WINDOW,
    Rates,
)
from tttnn.needs.scale import Formula, Scale
from tttnn.needs.shapes import activations
from tttnn.sections.fitting import Kind, fitting, within
from tttnn.sections.fitting import rates as rates_of
from tttnn.sections.kinds import METHODS
from tttnn.sections.lengths import Lengths

HELD = 3  # copies of the texts that a job reads: in columns, in records, as tokens: assumed
STEP_PASSES = 3  # a training step: forward, and backward worth two
LOADED = 2  # copies of the weights in a computer's memory on their way to a GPU
UNSAVED = 2  # copies that a document saved half done does without: gradients, what is put back
VALIDATED = 100  # documents of a task where their number is a fraction: assumed
ROW_DISK = 100  # bytes of a document at one number of neighbours: assumed


def split_documents(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    size = scale.query_bytes
    seconds = START_TORCH + size / TOKENISED
    source = "2 MB of text a second, tokenised"
    return Need(TORCH + HELD * size, seconds, size / SHRUNK, source)


def cut_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    split = split_documents(scale, wildcards)
    past = scale.long.past_tokens / scale.long.tokens  # of each window, beside the window itself
    return split._replace(disk=(2 + past) * (split.disk or 0.0))


def split_validation(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As if there were as many of them as test documents."""
    return split_documents(scale, wildcards)


def evaluate_part(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    method, task = wildcards["method"], wildcards["task"]
    documents = scale.texts.selected[task] / scale.parts(method, task)
    return _evaluation(scale, wildcards, documents)


def evaluate_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As of a whole document; as often as it has windows, where each has neighbours of its own."""
    need, windows = evaluate_part(scale, wildcards), scale.evaluated_windows(wildcards["task"])
    recipe = scale.methods[wildcards["method"]]
    own = windows if isinstance(recipe, WindowRecipe) and recipe.searches_each else 1
    return need._replace(
        seconds=START_TORCH + own * (need.seconds - START_TORCH),
        disk=(1 + windows) * (need.disk or 0.0),
    )


def evaluate_tuned(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As with all of the method's neighbours: fewer may have been chosen."""
    return evaluate_part(scale, wildcards)


def validate_part(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return _evaluation(scale, wildcards, scale.validation.count or VALIDATED)


def with_rates(recipe: Kind, selects: bool, rates: Rates) -> Kind:
    """A method with the rates of its budget, if it has one, that are null: the plan's.

    `selects` says whether its neighbours are chosen among candidates: of those that a search ranked
    they are the first, and a document's share of the search is no part of its seconds.
    """
    budget = recipe.time_budget
    if budget is None:
        return recipe
    planned = {
        "flops": rates.train,
        "step_seconds": rates.step,
        "selection_seconds": CHOOSING if selects else 0.0,
    }
    own = budget.model_dump(exclude_none=True)
    return recipe.model_copy(update={"budget": budget.model_copy(update=planned | own)})


def fit(scale: Scale, wildcards: Mapping[str, str]) -> int:
    """Neighbours that a document of the mean length uses, and that are as long as it is."""
    method, length = wildcards["method"], scale.texts.document_bytes[wildcards["task"]]
    asked = scale.methods[method]
    recipe = with_rates(asked, asked.candidates in scale.selections, scale.rates)
    budget, count = recipe.time_budget, recipe.num_neighbors
    if budget is None:
        return count
    half = round(length / 2)
    lengths = Lengths(half, half, [half] * count) if recipe.evaluates_halves else None
    lengths = lengths or Lengths(round(length), 0, [round(length)] * count)
    flop = scale.shapes[wildcards["model"]].forward(recipe.window or WINDOW)
    return fitting(recipe, lengths, budget.seconds, rates_of(budget, flop))


def _trained_share(recipe: Kind, length: float) -> float:
    """Of neighbours as long as a document of the mean length, what the recipe's caps leave."""
    tokens = [length / TOKEN_BYTES] * recipe.num_neighbors
    return sum(recipe.trained_of(tokens)) / sum(tokens) if sum(tokens) else 1.0


def _evaluation(scale: Scale, wildcards: Mapping[str, str], documents: float) -> Need:
    model, task = wildcards["model"], wildcards["task"]
    recipe, size = scale.methods[wildcards["method"]], scale.shapes[model]
    if recipe.time_budget is not None:
        recipe = within(recipe, fit(scale, wildcards))
    passes = load(METHODS, recipe.kind).passes(recipe)
    length = scale.texts.document_bytes[task]
    trained = _trained_share(recipe, length)
    measured = scale.step_seconds.get((model, task)) if recipe.trains else None
    if measured is not None:
        source = "published, on an A100; with an evaluation after every neighbour"
        seconds = measured * passes.steps * trained
    else:
        tokens = length / TOKEN_BYTES
        windows = max(1.0, tokens * trained / WINDOW)
        work = size.forward(min(tokens, WINDOW)) * tokens
        read = STEP_PASSES * passes.steps * trained + passes.forward
        seconds = work * read / scale.rates.train
        seconds += passes.steps * windows * scale.rates.step
        source = f"2 FLOP a weight and token of each pass, {scale.rates.source}"
    held = passes.copies * size.weights + activations(size, recipe.window or WINDOW, recipe.trains)
    on_host = max(LOADED, passes.copies - UNSAVED)
    memory = TORCH + (on_host * size.weights if scale.on_gpu else held)
    memory += HELD * documents * recipe.num_neighbors * length
    disk = ROW_DISK * documents * len(recipe.evaluate_at)
    return Need(memory, START_TORCH + documents * seconds, disk, source, held)


FORMULAS: dict[str, Formula] = {
    "split_documents": split_documents,
    "cut_windows": cut_windows,
    "evaluate_windows": evaluate_windows,
    "split_validation": split_validation,
    "evaluate_part": evaluate_part,
    "evaluate_tuned": evaluate_tuned,
    "validate_part": validate_part,
}
"""By rule."""
