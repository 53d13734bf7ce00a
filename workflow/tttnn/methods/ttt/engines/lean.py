"""Test-time training, lean: the reference loop's numbers with less work and no waiting.

Against the reference loop: losses stay on the device until a document ends; one optimiser serves
all documents and is emptied for each; clipping is done while AdamW reads the gradients; logits are
never there for all positions; evaluation needs those of its targets only; and parts of the model
are swapped for faster ones (`tttnn.methods.ttt.engines.swaps`).
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.likelihood import Window, padded
from tttnn.methods.measure import Adapted, Query
from tttnn.methods.snapshot import Snapshot
from tttnn.methods.ttt.engine import Pieces, Trainee, optimizer_of
from tttnn.methods.ttt.engines.documents import adapted
from tttnn.methods.ttt.engines.objective import Objective, shifted
from tttnn.methods.ttt.engines.swaps import swapped
from tttnn.methods.ttt.parts import only_trained
from tttnn.methods.ttt.precision import Weights, weights
from tttnn.methods.ttt.reuse import Gradients, Use
from tttnn.methods.ttt.settings import Recipe
from tttnn.methods.ttt.state import kept, restore

BATCH_TOKENS = 8192
"""Inputs of an evaluation at once, as the reference has it."""


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def fits(model: PreTrainedModel, recipe: Recipe, device: str) -> str | None:
    """Why this engine cannot serve the recipe; None if it can."""
    if recipe.as_released:
        return "as_released carries the optimiser from document to document"
    return None


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed for what comes next, if it is glibc.

    Otherwise each step's gradients and activations are new pages, which the kernel fills with
    zeros: a sixth of the processor's time of a step in bfloat16.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(M_MMAP_THRESHOLD, 2**30)
        library.mallopt(M_TRIM_THRESHOLD, -1)


def _one_pass(trained: Weights, recipe: Recipe, device: torch.device) -> Any:
    """AdamW that renews the copies on its way; None where there are none, or it does not work."""
    if not trained.are_copies or device.type != "cuda" or recipe.optimizer != "adamw":
        return None
    try:
        fused = importlib.import_module("tttnn.methods.ttt.engines.fused")
        fused.check(recipe, device)
        return fused.OnePass(trained, recipe)
    except Exception as error:  # whatever a compiler says: there is another way
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        print(f"warning: AdamW takes several passes over memory ({said})", file=sys.stderr)
        return None


class Optimizer:
    """Clips and steps, and can be emptied: as new, without new memory."""

    def __init__(self, trained: Weights, recipe: Recipe, device: torch.device) -> None:
        self.weights = trained
        self._clip_norm = recipe.clip_norm
        self._optimizer = optimizer_of(trained.kept, recipe)
        if recipe.optimizer == "adamw":
            for group in self._optimizer.param_groups:
                group["capturable"] = device.type == "cuda"
        self._one_pass = _one_pass(trained, recipe, device)
        self._unscaled = torch.ones((), device=device)

    @torch.no_grad()
    def empty(self) -> None:
        """Forget all steps."""
        if self._one_pass is not None:
            self._one_pass.empty()
        held = [t for state in self._optimizer.state.values() for t in state.values()]
        if held:
            torch._foreach_zero_(held)

    def kept(self, state: Sequence[torch.Tensor]) -> dict[str, torch.Tensor] | None:
        """See `tttnn.methods.ttt.state.kept`."""
        if self._one_pass is not None:
            return None
        return kept(state, self.weights.kept, self._optimizer)

    def restore(self, tensors: Mapping[str, torch.Tensor], state: Sequence[torch.Tensor]) -> None:
        """See `tttnn.methods.ttt.state.restore`."""
        restore(tensors, state, self.weights.kept, self._optimizer)
        self.weights.renew()

    @torch.no_grad()
    def _scale(self, weights: Sequence[torch.Tensor]) -> torch.Tensor:
        """What gradients are to be divided by, so that their norm is at most the clip norm."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if self._clip_norm is None or not gradients:
            return self._unscaled
        norms = torch._foreach_norm(gradients, 2, torch.float32)
        norm = torch.linalg.vector_norm(torch.stack(norms))
        return ((norm + 1e-6) / self._clip_norm).clamp(min=1.0)

    @torch.no_grad()
    def step(self) -> None:
        """A step along the gradients, clipped; they are gone afterwards."""
        if self._one_pass is not None:
            self._one_pass.step(self._scale(self.weights.used))
            return
        self.weights.take_gradients()
        if self._clip_norm is not None:  # fused optimisers divide by it while they read gradients
            self._optimizer.grad_scale = self._scale(  # type: ignore[attr-defined]
                self.weights.kept
            )
        self._optimizer.step()
        for weight in self.weights.kept:
            weight.grad = None
        self.weights.renew()


class Lean:
    """A model that is trained and measured eagerly (see `documents.Machine`)."""

    def __init__(
        self, model: PreTrainedModel, trained: Weights, recipe: Recipe, objective: Objective
    ) -> None:
        if model.device.type == "cpu":
            _keep_freed_memory()
        self.model = model
        self.recipe = recipe
        self.objective = objective
        self.weights = trained
        self.gradients = Gradients(trained.used)
        self.optimizer = Optimizer(trained, recipe, model.device)
        model.zero_grad()  # whoever had the model before may have left some
        self.state = [*trained.kept, *model.buffers()]
        self.original = [tensor.detach().clone() for tensor in self.state]

    def start(self) -> None:
        """Begin a document."""
        self.optimizer.empty()
        self.gradients.empty()
        if not self.recipe.accumulate:
            self.put_back()

    def kept(self) -> dict[str, torch.Tensor] | None:
        """What a document's training goes on from; None where the optimiser keeps it elsewhere."""
        tensors = self.optimizer.kept(self.state)
        return None if tensors is None else tensors | self.gradients.kept()

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what was kept."""
        self.optimizer.restore(tensors, self.state)
        self.gradients.restore(tensors)

    @torch.no_grad()
    def put_back(self) -> None:
        """The weights as they were, bit for bit."""
        torch._foreach_copy_(self.state, self.original)
        self.weights.renew()

    def loss(self, piece: list[int], share: float) -> torch.Tensor:
        """The piece's mean loss times `share`, which is added to the gradients."""
        inputs = torch.tensor([piece])
        if self.model.device.type == "cuda":
            inputs = inputs.pin_memory().to(self.model.device, non_blocking=True)
        loss = self.objective.loss(inputs, shifted(inputs), share / (len(piece) - 1))
        loss.backward()
        return loss.detach()

    def _losses(self, pieces: Pieces) -> list[torch.Tensor]:
        """The pieces' losses; gradients are of their mean."""
        self.model.train(self.recipe.dropout == "as_model")
        return [self.loss(piece, 1 / len(pieces)) * len(pieces) for piece in pieces]

    def step(self, pieces: Pieces) -> list[torch.Tensor]:
        """Take a step on the mean of the pieces' losses; what each of these was before it."""
        losses = self._losses(pieces)
        self.optimizer.step()
        return losses

    def step_on_repeated(self, pieces: Pieces, use: Use) -> list[torch.Tensor]:
        """As `step`, on a text that comes again; no losses where its gradient is used again."""
        losses = list[torch.Tensor]()
        if not self.gradients.take(use):
            losses = self._losses(pieces)
            self.gradients.hold(use)
        self.optimizer.step()
        return losses

    def log_likelihood(self, windows: list[Window]) -> torch.Tensor:
        """Of the windows' targets, in float64."""
        self.model.eval()
        device = self.model.device
        total = torch.zeros((), dtype=torch.float64, device=device)
        for inputs, targets in padded(windows, BATCH_TOKENS):
            goals = targets.flatten()
            places = (goals != -100).nonzero().squeeze(1)
            moved = (t.to(device, non_blocking=True) for t in (inputs, goals[places], places))
            total += self.objective.log_likelihood(*moved)
        return total


Make = Callable[[PreTrainedModel, Weights, Recipe, Objective, int], Lean]


def adapt_with(
    make: Make,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Recipe,
    window: int,
    resume: Snapshot | None = None,
) -> Iterator[Adapted]:
    """Adapt `model` to each query in turn with what `make` returns, and leave it as it was."""
    with ExitStack() as undo:
        undo.callback(only_trained(model, recipe))
        undo.callback(model.eval)
        undo.enter_context(swapped(model))
        objective = Objective(model)
        parameters = [p for p in model.parameters() if p.requires_grad]
        trained, give_back = weights(model, parameters, recipe.precision)
        undo.callback(give_back)
        machine = make(model, trained, recipe, objective, window)
        undo.callback(machine.put_back)
        gradients = machine.gradients
        trainee = Trainee(model, trained, gradients, machine.state, tokenizer, recipe, window)
        yield from adapted(machine, trainee, queries, resume)


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Recipe,
    window: int,
    resume: Snapshot | None = None,
) -> Iterator[Adapted]:
    """As the reference loop, `tttnn.methods.ttt.engine.adapt`, but for `recipe.as_released`."""

    def make(
        model: PreTrainedModel, trained: Weights, recipe: Recipe, objective: Objective, _: int
    ) -> Lean:
        return Lean(model, trained, recipe, objective)

    return adapt_with(make, model, tokenizer, queries, recipe, window, resume)
