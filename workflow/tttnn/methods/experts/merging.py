"""Experts merged into a model's weights, and taken out of them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tttnn.digests import check_model

ADAPTER, CONFIG, PREFIX = "adapter_model.safetensors", "adapter_config.json", "base_model.model."
"""As `peft` names them."""
DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def merging_weights(
    similarities: np.ndarray, beta: float, tau: float, most: int
) -> dict[int, float]:
    """The share of each expert that is merged, by its number, the nearest first.

    `similarities` are the cosines of a text's vector and the centroids. A softmax over all of
    -(1 - cosine) / beta², of which those of at most tau are left out, then all but the `most`
    largest; the rest are renormalised, as in the authors' library (rbertolissi/ttmerge). Where none
    is above tau there is none.
    """
    exponents = -(1 - similarities.astype(np.float64)) / beta**2
    shares = np.exp(exponents - exponents.max())
    shares /= shares.sum()
    ranked = np.argsort(-shares, kind="stable")[:most]
    chosen = ranked[shares[ranked] > tau]
    total = shares[chosen].sum()
    return {int(expert): float(shares[expert] / total) for expert in chosen}


class Factors(NamedTuple):
    """Of an adapter at a layer: the layer's weights grow by `up @ down`, (out, r) and (r, in)."""

    down: torch.Tensor  # times alpha / r
    up: torch.Tensor


def read_adapter(folder: Path, device: torch.device | str) -> dict[str, Factors]:
    """An expert's factors by layer; raises `DamagedError` for files that its manifest does not
    list, and `ValueError` for an adapter of another form."""
    check_model(folder, [ADAPTER, CONFIG])
    tensors = load_file(folder / ADAPTER, device=str(device))
    config = json.loads((folder / CONFIG).read_bytes())
    scale = config["lora_alpha"] / config["r"]
    factors = {}
    for name, down in tensors.items():
        layer = name.removeprefix(PREFIX).removesuffix(DOWN)
        if name == f"{PREFIX}{layer}{DOWN}":
            factors[layer] = Factors(down * scale, tensors[f"{PREFIX}{layer}{UP}"])
    if 2 * len(factors) != len(tensors):
        raise ValueError(f"{folder / ADAPTER} has more than low-rank factors: remove {folder}")
    return factors


def _weight(model: PreTrainedModel, layer: str) -> tuple[torch.Tensor, bool]:
    """A layer's weights, and whether they stand transposed, (in, out)."""
    module = model.get_submodule(layer)
    if not isinstance(module, nn.Linear | Conv1D):
        raise ValueError(
            f"{layer} is a {type(module).__name__}, not a linear layer: choose the "
            "experts' targets among these"
        )
    weight: Any = module.weight
    owners = [
        name for name, other in model.named_modules() if getattr(other, "weight", None) is weight
    ]
    if len(owners) > 1:
        raise ValueError(
            f"{' and '.join(owners)} share their weights, so that an adapter of one cannot be "
            "merged: leave it out of the experts' targets"
        )
    return weight.data, isinstance(module, Conv1D)


class Merged:
    """A model, and the experts at `folders` that can be merged into it.

    An expert is read when it is first merged, and stays in memory; so does a copy of the weights
    that experts change. `put_back` leaves them bit for bit as they were.
    """

    def __init__(self, model: PreTrainedModel, folders: list[Path]) -> None:
        self._model = model
        self._folders = folders
        self._held: dict[int, dict[str, Factors]] = {}
        self._weights: dict[str, tuple[torch.Tensor, bool]] = {}
        self._original: dict[str, torch.Tensor] = {}

    def load(self, experts: list[int]) -> None:
        """Read those of these experts that are not in memory."""
        for expert in experts:
            if expert not in self._held:
                factors = read_adapter(self._folders[expert], self._model.device)
                for layer in factors.keys() - self._weights.keys():
                    self._weights[layer] = _weight(self._model, layer)
                    self._original[layer] = self._weights[layer][0].clone()
                self._held[expert] = factors

    @torch.no_grad()
    def merge(self, shares: dict[int, float]) -> None:
        """Make the model what it was, plus these shares of these experts."""
        self.load([*shares])
        self.put_back()
        if not shares:
            return
        for layer, (weight, is_transposed) in self._weights.items():
            found = [(share, self._held[expert][layer]) for expert, share in shares.items()]
            down = torch.cat([share * factors.down for share, factors in found])
            up = torch.cat([factors.up for _, factors in found], dim=1)
            if is_transposed:
                weight.addmm_(down.T, up.T)
            else:
                weight.addmm_(up, down)

    @torch.no_grad()
    def put_back(self) -> None:
        """The weights as they were, bit for bit."""
        for layer, original in self._original.items():
            self._weights[layer][0].copy_(original)
