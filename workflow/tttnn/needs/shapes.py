"""Sizes of transformers: parameters, operations, activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tttnn.needs.rates import FLOAT

GPT2_WIDTH, GPT2_LAYERS = 768, 12  # transformers' defaults where a configuration is silent
LIVE = 8  # arrays of a layer's width that a forward pass holds at once: assumed


class Shape(NamedTuple):
    """A transformer: layers, width, vocabulary, and parameters without the embeddings."""

    layers: int
    width: int
    vocabulary: int
    body: float
    known: str = "its published size"

    @property
    def parameters(self) -> float:
        """All of them; input and output embeddings are one."""
        return self.body + self.vocabulary * self.width

    @property
    def weights(self) -> float:
        """Bytes of all parameters in float32."""
        return FLOAT * self.parameters

    def forward(self, tokens: float, *, logits: bool = True) -> float:
        """FLOP of a token that is one of `tokens` in its window."""
        head = 2 * self.vocabulary * self.width if logits else 0
        return 2 * self.body + 4 * self.layers * tokens * self.width + head


HUB = {
    "openai-community/gpt2": Shape(12, 768, 50257, 85e6),
    "openai-community/gpt2-large": Shape(36, 1280, 50257, 708e6),
    "openai-community/gpt2-xl": Shape(48, 1600, 50257, 1475e6),
    "EleutherAI/gpt-neo-1.3B": Shape(24, 2048, 50257, 1208e6),
    "HuggingFaceTB/SmolLM2-135M": Shape(30, 576, 49152, 106e6),
    "Qwen/Qwen2.5-0.5B": Shape(24, 896, 151936, 358e6),
    "Qwen/Qwen2.5-1.5B": Shape(28, 1536, 151936, 1310e6),
    "meta-llama/Llama-3.2-1B": Shape(16, 2048, 128256, 973e6),
    "microsoft/Phi-3-mini-4k-instruct": Shape(32, 3072, 32064, 3723e6),
    "socialfoundations/roberta-large-pile-lr2e-5-bs16-8gpu-1700000": Shape(24, 1024, 50265, 302e6),
}

UNKNOWN = HUB["openai-community/gpt2-large"]._replace(known="unknown: taken for GPT-2-Large")


def of_architecture(values: Mapping[str, Any], vocabulary: int, known: str) -> Shape:
    """From an architecture as transformers spells it; GPT-2's defaults where it says nothing."""

    def first(names: tuple[str, ...], default: int) -> int:
        return next((values[name] for name in names if values.get(name)), default)

    width = first(("n_embd", "hidden_size", "d_model"), GPT2_WIDTH)
    layers = first(("n_layer", "num_hidden_layers", "num_layers"), GPT2_LAYERS)
    inner = first(("n_inner", "intermediate_size"), 4 * width)
    return Shape(layers, width, vocabulary, layers * (4 * width**2 + 2 * width * inner), known)


def activations(size: Shape, tokens: float, training: bool) -> float:
    """Bytes of float32 activations of so many tokens at once, attention not materialised.

    Of training, what the backward pass needs of each layer, 16 numbers for each of its widths
    (Korthikanti et al. 2022, arXiv 2205.05198, section 4.1: 34 bytes with 2 a number, of which 2
    are masks), and the logits with their gradient; else a few layers' worth.
    """
    if training:
        return FLOAT * tokens * (16 * size.layers * size.width + 3 * size.vocabulary)
    return FLOAT * tokens * LIVE * size.width
