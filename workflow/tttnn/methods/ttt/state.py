"""What a document's training goes on from: weights, the optimiser's state, random numbers.

All of it, bit for bit, so that a document that is gone on with gives the rows of one that was
never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch


def kept(
    state: Sequence[torch.Tensor],
    parameters: Sequence[torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> dict[str, torch.Tensor]:
    """By name; the tensors themselves, not copies. `state` are those that training changes."""
    tensors = {f"state.{place}": tensor.detach() for place, tensor in enumerate(state)}
    for place, parameter in enumerate(parameters):
        for name, value in optimizer.state[parameter].items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{place}.{name}"] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    return tensors


def restore(
    tensors: Mapping[str, torch.Tensor],
    state: Sequence[torch.Tensor],
    parameters: Sequence[torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Make everything what `kept` saw; nothing is done where that was before the first step."""
    if not tensors:
        return
    with torch.no_grad():
        for place, tensor in enumerate(state):
            tensor.copy_(tensors[f"state.{place}"])
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, key = rest.partition(".")
            parameter = parameters[int(number)]
            optimizer.state[parameter][key] = value.to(parameter.device)
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
