"""What it takes to cluster passages, to train experts, and to merge them."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.methods.experts.settings import Merging
from tttnn.methods.needs import evaluate_part
from tttnn.needs.kinds import Passes
from tttnn.needs.need import Need
from tttnn.needs.rates import DISK, FLOAT, PYTHON, START, START_TORCH, TOKEN_BYTES, TORCH, WINDOW
from tttnn.needs.scale import Formula, Scale
from tttnn.needs.shapes import Shape, activations
from tttnn.sections.experts import Experts
from tttnn.sections.memory import room

TRAINED = 3  # gradients and two moments, with `then`
STEP_PASSES = 2  # of adapters: forward, and backward through weights that get no gradient
ADAPTED = 4  # copies of an adapter in training: itself, its gradients, moments
LINEARS = 4 + 3  # of a block whose every linear layer is adapted: attention's and an MLP's
HELD = 3  # of the sample: tttnn.retrieval.clusters; a test holds them equal
DRAWN = 16  # bytes of a passage that is drawn: its id and its key
SPLITS = 20 * 2  # products of a sampled vector in each split that it takes part in
TEXTS = 3  # copies of the texts of a cluster: as read, as tokens: assumed


def passes(recipe: Merging) -> Passes:
    """The measurements, and with `then` a step for each neighbour; weights and what was there."""
    steps = recipe.num_neighbors if recipe.then else 0
    return Passes(steps, len(recipe.evaluate_at), 2 + (TRAINED + 1 if recipe.then else 0))


def adapter_bytes(spec: Experts, size: Shape) -> float:
    """Of an expert's two factors at every linear layer, at most."""
    wide = size.body / size.layers / LINEARS / size.width  # of a layer that is not square
    return FLOAT * spec.rank * LINEARS * size.layers * (size.width + max(size.width, wide))


def cluster_passages(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """A sample that is split, and then all vectors once, a block at a time."""
    spec = scale.experts[wildcards["experts"]]
    d, rows = scale.shapes[spec.embedder].width, scale.all_passages
    sampled = min(spec.sample, rows)
    least = HELD * FLOAT * sampled * d + DRAWN * spec.clusters * spec.passages
    splits = min(spec.clusters, 1 + spec.clusters.bit_length())  # of a vector, where halves are
    products = d * (SPLITS * splits * sampled + spec.clusters * rows)
    seconds = START + 2 * products / scale.rates.forward + FLOAT * d * rows / DISK
    disk = FLOAT * d * spec.clusters + DRAWN * spec.clusters * spec.passages
    memory = PYTHON + max(least, min(2 * least, room(scale.memory_mb)))
    return Need(memory, seconds, disk, "vectors read once", least=least)


def train_expert(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """All windows of a cluster's passages, as often as there are epochs."""
    spec, size = scale.experts[wildcards["experts"]], scale.shapes[wildcards["model"]]
    window = spec.window or WINDOW
    passages = min(spec.passages, scale.all_passages / spec.clusters)
    length = scale.passage_bytes / TOKEN_BYTES
    if spec.passage_windows is not None:
        length = min(length, spec.passage_windows * window)
    tokens = passages * length
    steps = spec.epochs * max(passages, tokens / window) / spec.batch_size
    work = STEP_PASSES * spec.epochs * tokens * size.forward(min(window, tokens))
    seconds = 2 * START_TORCH + steps * scale.rates.step + work / scale.rates.train
    adapter = adapter_bytes(spec, size)
    held = size.weights + ADAPTED * adapter + activations(size, window, True)
    held += size.weights / 2 if spec.precision == "bfloat16" else 0
    texts = TEXTS * passages * scale.passage_bytes
    on_host = TORCH + texts + (2 * size.weights if scale.on_gpu else held)
    source = f"4 FLOP a weight and token, {scale.rates.source}"
    return Need(on_host, seconds, adapter, source, held)


def evaluate_experts(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As other methods, with the experts in memory."""
    method = scale.methods[wildcards["method"]]
    assert isinstance(method, Merging)
    spec = scale.experts[method.experts]
    adapters = spec.clusters * adapter_bytes(spec, scale.shapes[wildcards["model"]])
    need = evaluate_part(scale, wildcards)
    more = adapters if scale.on_gpu else 0.0
    return need._replace(
        memory=need.memory + adapters,
        device=need.device + more,
        seconds=need.seconds + adapters / DISK,
    )


def weigh_experts(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(2 * PYTHON, 2 * START, 1e4, "some rows")


FORMULAS: dict[str, Formula] = {
    "cluster_passages": cluster_passages,
    "train_expert": train_expert,
    "evaluate_experts": evaluate_experts,
    "weigh_experts": weigh_experts,
}
"""By rule."""
