"""What it takes to split documents and to evaluate methods.

What depends on the kind of method stands in the kind's own `needs` (see `tttnn.needs.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.kinds import load
from tttnn.needs.need import Need
from tttnn.needs.rates import SHRUNK, START_TORCH, TOKEN_BYTES, TOKENISED, TORCH, WINDOW
from tttnn.needs.scale import Formula, Scale
from tttnn.needs.shapes import activations
from tttnn.sections.kinds import METHODS

HELD = 3  # copies of the texts that a job reads: in columns, in records, as tokens: assumed
STEP_PASSES = 3  # a training step: forward, and backward worth two
LOADED = 2  # copies of the weights in a computer's memory on their way to a GPU
VALIDATED = 100  # documents of a task where their number is a fraction: assumed
ROW_DISK = 100  # bytes of a document at one number of neighbours: assumed


def split_documents(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    size = scale.query_bytes
    seconds = START_TORCH + size / TOKENISED
    source = "2 MB of text a second, tokenised"
    return Need(TORCH + HELD * size, seconds, size / SHRUNK, source)


def evaluate_part(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    method, task = wildcards["method"], wildcards["task"]
    documents = scale.texts.selected[task] / scale.parts(method, task)
    return _evaluation(scale, wildcards, documents)


def validate_part(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return _evaluation(scale, wildcards, scale.validation.count or VALIDATED)


def _evaluation(scale: Scale, wildcards: Mapping[str, str], documents: float) -> Need:
    model, task = wildcards["model"], wildcards["task"]
    recipe, size = scale.methods[wildcards["method"]], scale.shapes[model]
    passes = load(METHODS, recipe.kind).passes(recipe)
    length = scale.texts.document_bytes[task]
    measured = scale.step_seconds.get((model, task)) if recipe.trains else None
    if measured is not None:
        source = "published, on an A100; with an evaluation after every neighbour"
        seconds = measured * passes.steps
    else:
        tokens = length / TOKEN_BYTES
        windows = max(1.0, tokens / WINDOW)
        work = size.forward(min(tokens, WINDOW)) * tokens
        seconds = work * (STEP_PASSES * passes.steps + passes.forward) / scale.rates.train
        seconds += passes.steps * windows * scale.rates.step
        source = f"2 FLOP a weight and token of each pass, {scale.rates.source}"
    held = passes.copies * size.weights + activations(size, recipe.window or WINDOW, recipe.trains)
    memory = TORCH + (LOADED * size.weights if scale.on_gpu else held)
    memory += HELD * documents * recipe.num_neighbors * length
    disk = ROW_DISK * documents * len(recipe.evaluate_at)
    return Need(memory, START_TORCH + documents * seconds, disk, source, held)


FORMULAS: dict[str, Formula] = {
    "split_documents": split_documents,
    "evaluate_part": evaluate_part,
    "validate_part": validate_part,
}
"""By rule."""
