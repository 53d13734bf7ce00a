"""What it takes to fetch a model, and to train one."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.models.kinds.train import TrainedModel
from tttnn.needs.need import Need
from tttnn.needs.rates import FLOAT, HUB_BYTES, START_TORCH, TORCH
from tttnn.needs.scale import Formula, Scale
from tttnn.needs.shapes import activations

LOADED = 2  # copies of the weights while they are read: a file's and the model's
BACKWARD = 3  # passes that a training step is worth: forward, and backward worth two
TRAINED = 4  # copies of the weights: themselves, gradients, two moments
TOKEN_ID = 8  # bytes


def fetch_model(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    size = scale.shapes[wildcards["model"]].weights
    seconds = START_TORCH + size / HUB_BYTES
    return Need(TORCH + LOADED * size, seconds, size, "50 MB a second")


def train_model(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, size = scale.models[wildcards["model"]], scale.shapes[wildcards["model"]]
    assert isinstance(spec, TrainedModel)
    batch = spec.batch_size * spec.sequence_tokens
    tokens = float(spec.steps * batch)
    if spec.objective == "masked":  # a text is not packed with others
        tokens *= min(1.0, scale.document_tokens / spec.sequence_tokens)
    work = BACKWARD * tokens * size.forward(spec.sequence_tokens)
    seconds = 2 * START_TORCH + spec.steps * scale.rates.step + work / scale.rates.train
    logits = 2 * FLOAT * batch * size.vocabulary  # and their gradient
    texts = TOKEN_ID * spec.documents * spec.sequence_tokens
    return Need(
        TORCH + TRAINED * size.weights + logits + texts,
        seconds,
        size.weights,
        f"6 FLOP a weight, {scale.rates.source}",
        TRAINED * size.weights + activations(size, batch, True),
    )


FORMULAS: dict[str, Formula] = {
    "fetch_model": fetch_model,
    "train_model": train_model,
    "train_embedder": train_model,
}
"""By rule."""
