"""Test-time training as CUDA graphs: what the lean engine does, without launching it anew.

A step (forward, backward, clipping, AdamW) and an evaluation are captured once for each of a few
padded lengths and replayed for every text. Texts are padded on the right, which a causal model
cannot see from the left; targets in the padding are -100, and a loss is the mean over the others.
With dropout the numbers drawn depend on the padded length, on the query and on the recipe's seed,
and on nothing else.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.methods.likelihood import Window
from tttnn.methods.measure import Adapted, Query
from tttnn.methods.ttt.engine import Pieces
from tttnn.methods.ttt.engines import lean
from tttnn.methods.ttt.engines.objective import Objective
from tttnn.methods.ttt.precision import Weights
from tttnn.methods.ttt.settings import Recipe

LENGTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
"""What texts are padded to, in tokens; and to the window itself."""
WARM_UPS = 2  # before a capture, so that libraries have what they allocate at first
EAGER = 4  # windows of a document beyond which they are evaluated in batches, not replayed


def fits(model: PreTrainedModel, recipe: Recipe, device: str) -> str | None:
    """Why this engine cannot serve the recipe; None if it can."""
    if device != "cuda":
        return f"graphs are captured on CUDA, and this is {device}"
    if recipe.step != "window":
        return f"a step of `step: {recipe.step}` is of any number of windows"
    if recipe.reuse != 1:
        return "reuse: a captured step computes its gradient"
    if recipe.optimizer != "adamw":
        return f"optimizer: {recipe.optimizer}, and steps are captured of adamw"
    return lean.fits(model, recipe, device)


class Captured(NamedTuple):
    """What runs on `packed`, (2, length): token ids and targets; and the number that it leaves."""

    packed: torch.Tensor
    replay: Callable[[], object]
    number: torch.Tensor


def _lengths(window: int) -> list[int]:
    return [*(length for length in LENGTHS if length < window), window]


class Graphs(lean.Lean):
    """As `lean.Lean`, from captured graphs; on a CPU the same padded work, uncaptured."""

    def __init__(
        self,
        model: PreTrainedModel,
        trained: Weights,
        recipe: Recipe,
        objective: Objective,
        window: int,
    ) -> None:
        super().__init__(model, trained, recipe, objective)
        self._lengths = _lengths(window)
        self._steps: dict[int, Captured] = {}
        self._evaluations: dict[int, Captured] = {}
        self._on_gpu = model.device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self._on_gpu else None
        self.failed: str | None = None
        self._allocate_state()

    def _allocate_state(self) -> None:
        """Have the optimiser allocate its moments now: what a capture allocates is the graph's."""
        for used in self.weights.used:
            used.grad = torch.zeros_like(used)
        self.optimizer.step()
        self.optimizer.empty()
        self.put_back()

    # --- capturing ---------------------------------------------------------------------------

    def _clear(self) -> None:
        for used in self.weights.used:
            used.grad = None

    def _captured(
        self,
        length: int,
        dtype: torch.dtype,
        run: Callable[[torch.Tensor], torch.Tensor],
        steps: bool,
    ) -> Captured:
        """A graph of `run` on packed texts of `length`; if it `steps`, then a step follows."""
        device = self.model.device
        packed = torch.zeros(2, length, dtype=torch.long, device=device)
        number = torch.zeros((), dtype=dtype, device=device)

        def whole() -> None:
            number.copy_(run(packed))
            if steps:
                self.optimizer.step()

        if not self._on_gpu:
            return Captured(packed, whole, number)
        random = torch.cuda.get_rng_state(device)
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                run(packed)
                self._clear()
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                whole()
        finally:
            self._clear()
            for kept in self.weights.kept:
                kept.grad = None
            torch.cuda.set_rng_state(random, device)
        return Captured(packed, graph.replay, number)

    def _mean_loss(self, packed: torch.Tensor) -> torch.Tensor:
        targets = packed[1:]
        loss = self.objective.loss(packed[:1], targets, 1.0 / (targets != -100).sum())
        loss.backward()
        return loss.detach()

    def _total(self, packed: torch.Tensor) -> torch.Tensor:
        return self.objective.log_likelihood(packed[:1], packed[1], None)

    def _find(self, made: dict[int, Captured], tokens: int) -> Captured | None:
        """The graph for so many tokens, captured if it is not there; None if that failed."""
        length = self._lengths[bisect_left(self._lengths, tokens)]
        if length not in made and self.failed is None:
            try:
                if made is self._steps:
                    made[length] = self._captured(length, torch.float32, self._mean_loss, True)
                else:
                    made[length] = self._captured(length, torch.float64, self._total, False)
            except RuntimeError as error:
                self.failed = str(error).partition("\n")[0]
                print(
                    f"warning: no graph of {length} tokens could be captured ({self.failed}): "
                    "going on without graphs, more slowly",
                    file=sys.stderr,
                )
        return made.get(length)

    # --- replaying ---------------------------------------------------------------------------

    def _replay(self, captured: Captured, inputs: list[int], targets: list[int]) -> torch.Tensor:
        """Run it on inputs whose last `len(targets)` positions must predict these."""
        packed = torch.zeros(2, captured.packed.shape[1], dtype=torch.long)
        packed[1].fill_(-100)
        packed[0, : len(inputs)] = torch.tensor(inputs)
        first = len(inputs) - len(targets)
        packed[1, first : len(inputs)] = torch.tensor(targets)
        if self._on_gpu:
            packed = packed.pin_memory()
        captured.packed.copy_(packed, non_blocking=True)
        captured.replay()
        return captured.number.clone()

    def step(self, pieces: Pieces) -> list[torch.Tensor]:
        """Take a step on the mean of the pieces' losses; what each of these was before it."""
        if len(pieces) != 1:
            return super().step(pieces)
        self.model.train(self.recipe.dropout == "as_model")
        (piece,) = pieces
        captured = self._find(self._steps, len(piece))
        if captured is None:
            return super().step(pieces)
        return [self._replay(captured, piece, [*piece[1:], -100])]

    def log_likelihood(self, windows: list[Window]) -> torch.Tensor:
        """Of the windows' targets, in float64."""
        self.model.eval()
        found = [self._find(self._evaluations, len(window.inputs)) for window in windows[:EAGER]]
        if len(windows) > EAGER or any(captured is None for captured in found):
            return super().log_likelihood(windows)
        totals = [
            self._replay(captured, window.inputs, window.targets)
            for captured, window in zip(found, windows, strict=True)
            if captured is not None
        ]
        return torch.stack(totals).sum()


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Recipe,
    window: int,
) -> Iterator[Adapted]:
    """As the reference loop, `tttnn.methods.ttt.engine.adapt`, for recipes that this fits."""
    return lean.adapt_with(Graphs, model, tokenizer, queries, recipe, window)
