"""CUDA graphs of whole steps, for each number of documents and padded length that comes again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

Step = Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]
"""A step of the first `n` documents on their inputs and targets, (n, t); their losses, (n,)."""

AT_MOST = 64  # graphs: each keeps a few MB of its own


class _Graph(NamedTuple):
    graph: Any
    inputs: torch.Tensor
    targets: torch.Tensor
    losses: torch.Tensor


class Captured:
    """A step on CUDA, launched as one graph from the second time on that its shape is met.

    Where a capture fails, it says so once, and the step is run as it is from then on.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._seen: Counter[tuple[int, int]] = Counter()
        self._graphs: dict[tuple[int, int], _Graph] = {}
        self._fails = False
        self._pool: Any = None

    def __call__(self, count: int, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        key = (count, inputs.shape[1])
        self._seen[key] += 1
        known = self._graphs.get(key)
        if known is None and self._seen[key] > 1 and len(self._graphs) < AT_MOST:
            known = self._capture(key, inputs, targets)
        if known is None:
            return self._step(count, inputs, targets)
        known.inputs.copy_(inputs)
        known.targets.copy_(targets)
        known.graph.replay()
        return known.losses.clone()  # the next replay writes there again

    def _capture(
        self, key: tuple[int, int], inputs: torch.Tensor, targets: torch.Tensor
    ) -> _Graph | None:
        if self._fails:
            return None
        inputs, targets = inputs.clone(), targets.clone()
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            with torch.cuda.graph(graph, pool=self._pool):  # records, and computes nothing
                losses = self._step(key[0], inputs, targets)
        except RuntimeError as error:
            self._fails = True
            # what ended the capture, not what was said when it was closed
            reason = str(error.__context__ or error).splitlines()[0]
            print(f"warning: steps are not captured as CUDA graphs: {reason}", file=sys.stderr)
            return None
        self._graphs[key] = _Graph(graph, inputs, targets, losses)
        return self._graphs[key]
