"""What the benchmarks of training share: models by shape, texts, and the plain loop.

Models have the shape of known ones and random weights, texts are random words of a vocabulary, so
nothing is downloaded. The plain loop does what the paper's released code does: AdamW as PyTorch
has it by default, an evaluation after every neighbour whose log-softmax is brought to the host, and
weights that are loaded back from a state dict.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

from tttnn.methods.likelihood import prefix_token, rolling_windows
from tttnn.methods.measure import Query

NEO = {
    "hidden_size": 2048,
    "num_layers": 24,
    "num_heads": 16,
    "attention_types": [[["global", "local"], 12]],
    "max_position_embeddings": 2048,
}
SHAPES: dict[str, tuple[str, dict[str, object]]] = {
    "tiny": ("gpt2", {"n_embd": 64, "n_layer": 2, "n_head": 2, "vocab_size": 999}),
    "tiny-neo": (
        "gpt_neo",
        NEO
        | {"hidden_size": 64, "num_layers": 2, "num_heads": 2, "vocab_size": 999}
        | {"attention_types": [[["global", "local"], 1]]},
    ),
    "tiny-llama": (
        "llama",
        {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 999}
        | {"num_attention_heads": 2, "num_key_value_heads": 1},
    ),
    "36m": ("gpt2", {"n_embd": 512, "n_layer": 11, "n_head": 8, "vocab_size": 1024}),
    "gpt2": ("gpt2", {"vocab_size": 50257}),
    "gpt2-large": ("gpt2", {"n_embd": 1280, "n_layer": 36, "n_head": 20, "vocab_size": 50257}),
    "gpt-neo-1.3b": ("gpt_neo", NEO | {"vocab_size": 50257}),
}


def random_model(shape: str, device: str = "cpu", dropout: bool = True) -> PreTrainedModel:
    """A float32 model of the shape, in evaluation mode."""
    kind, sizes = SHAPES[shape]
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    if not dropout and kind == "gpt2":
        ids |= dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0)  # type: ignore[arg-type]
    config = AutoConfig.for_model(kind, **ids | sizes)
    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


class Numbers:
    """A tokenizer of texts that are token ids, written as numbers."""

    bos_token_id = eos_token_id = 0

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [int(word) for word in text.split()]}


def random_text(seed: int, tokens: int, vocabulary: int) -> str:
    """Tokens of which few are frequent, as in real text."""
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.rand(tokens, generator=generator, dtype=torch.float64)
    ids = (vocabulary**ranks).long().clamp(1, vocabulary - 1)
    return " ".join(map(str, ids.tolist()))


def random_query(name: int, lengths: list[int], vocabulary: int) -> Query:
    """A document of `lengths[0]` tokens, and neighbours of the others."""
    texts = [random_text(1000 * name + n, t, vocabulary) for n, t in enumerate(lengths)]
    return Query(name, texts[0], texts[1:])


def plain_loop(
    model: PreTrainedModel, tokenizer: Numbers, query: Query, window: int, rate: float
) -> list[float]:
    """The log-likelihood before training and after every neighbour, as the released code goes."""
    original = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    windows = rolling_windows(tokenizer(query.text)["input_ids"], prefix_token(tokenizer), window)  # type: ignore[arg-type]
    device = model.device

    def evaluate() -> float:
        model.eval()
        total = 0.0
        for inputs, targets in windows:
            with torch.no_grad():
                logits = model(torch.tensor([inputs], device=device)).logits
                table = torch.log_softmax(logits, -1)[0].cpu()
            chosen = table[-len(targets) :].gather(1, torch.tensor(targets)[:, None])
            total += chosen.double().sum().item()
        return total

    measured = [evaluate()]
    for neighbor in query.neighbors:
        ids = tokenizer(neighbor)["input_ids"]
        model.train()
        for start in range(0, len(ids), window):
            piece = torch.tensor([ids[start : start + window]], device=device)
            if piece.shape[1] > 1:
                optimizer.zero_grad()
                model(piece, labels=piece).loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
        measured.append(evaluate())
    model.load_state_dict(original)
    model.zero_grad()
    return measured


def flops(model: PreTrainedModel, tokens: int) -> float:
    """Of forward and backward of a window, 6 a weight and token, and attention's products."""
    config = model.config
    layers, width = config.num_hidden_layers, config.hidden_size
    return (6 * model.num_parameters() + 12 * layers * width * tokens) * tokens
