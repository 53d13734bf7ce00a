"""The low-precision pass of exact search on a GPU: float16 products, and what passes a threshold.

float16 and not bfloat16: matrix units are as fast, and it rounds eight times finer; its narrow
range is of no matter once vectors are less their centre and scaled. Of a step's scores only those
are ranked that are below the query's worst of the found so far; steps grow as more has been seen.
(A kernel that writes these alone, fused with the product, was fast on a card and wrong:
docs/performance.md.)
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from tttnn.retrieval.bounds import FLOAT16
from tttnn.retrieval.exact_pass import Found, Vectors, refuse_non_finite

DEVICE = "cuda"
SEED = 4096  # vectors from which each query has its first threshold
GROWTH = 3  # times as many as were seen make the next step, where few more than wanted pass
SCORES = 1 << 28  # of a step at most: they are all written
PASSING = 6  # times as many as wanted may pass a threshold in a step; if more, it is halved
WIDTH = 64  # a multiple of which numbers a vector has there, zeros behind
EXPONENTS = (-40, 60)  # of scales, whose products float32 then holds


class Tile(NamedTuple):
    """Vectors (n, d) in float16, less the centre and scaled, their squared norms, their ids."""

    vectors: torch.Tensor
    norms: torch.Tensor
    ids: torch.Tensor

    def part(self, start: int, stop: int) -> Tile:
        return Tile(self.vectors[start:stop], self.norms[start:stop], self.ids[start:stop])


def _power(norms: np.ndarray) -> np.ndarray:
    """Powers of two just above, float64."""
    with np.errstate(divide="ignore"):
        exponents = np.ceil(np.log2(norms))
    return 2.0 ** np.clip(np.nan_to_num(exponents, neginf=0), *EXPONENTS)


def _half(vectors: torch.Tensor) -> torch.Tensor:
    """In float16, with what is larger than any made the largest."""
    largest = FLOAT16.largest
    half = vectors.clamp(-largest, largest).to(torch.float16)
    return torch.nn.functional.pad(half, (0, -half.shape[1] % WIDTH))


def prepare(vectors: torch.Tensor, ids: torch.Tensor, centre: torch.Tensor, scale: float) -> Tile:
    """Vectors as they are stored, for products."""
    less = vectors.to(torch.float32) - centre
    return Tile(_half(less / scale), less.square().sum(1), ids)


class Nearest:
    """The `wanted` nearest of m queries (less the centre), of the tiles that were added."""

    def __init__(self, queries: np.ndarray, wanted: int, scale: float, device: str) -> None:
        self.norms = np.sqrt(np.einsum("nd,nd->n", queries, queries, dtype=np.float64))
        self.scale, self.scales = scale, _power(self.norms)
        scales = torch.from_numpy(self.scales.astype(np.float32)).to(device)
        self.queries = _half(torch.from_numpy(queries).to(device) / scales[:, None])
        self.factors = 2 * scale * scales
        self.best = torch.full((len(queries), wanted), torch.inf, device=device)
        self.ids = torch.full((len(queries), wanted), -1, dtype=torch.int64, device=device)
        self.seen = 0

    def add(self, tile: Tile) -> torch.Tensor:
        """Look at a tile in steps; returns what none of its scores is below, (m,)."""
        least = torch.full_like(self.best[:, 0], torch.inf)
        most = max(1, SCORES // len(self.best))
        start = 0
        while start < len(tile.ids):
            stop = min(len(tile.ids), start + min(most, max(SEED, GROWTH * self.seen)))
            least = torch.minimum(least, self._step(tile.part(start, stop)))
            self.seen += stop - start
            start = stop
        return least

    def _step(self, tile: Tile) -> torch.Tensor:
        wanted, worst = self.best.shape[1], self.best[:, -1].contiguous()
        passing = None
        if self.seen >= wanted:
            passing = _passing(
                self.queries, self.factors, tile.vectors, tile.norms, worst, PASSING * wanted
            )
        if passing is None and self.seen >= wanted and len(tile.ids) > SEED:
            half = len(tile.ids) // 2
            parts = tile.part(0, half), tile.part(half, len(tile.ids))
            return torch.minimum(*map(self._step, parts))
        if passing is None:
            scores = _scores(self.queries, self.factors, tile.vectors, tile.norms)
            scores = torch.where(scores.isnan(), torch.inf, scores)
            passing = scores.topk(min(wanted, len(tile.ids)), dim=1, largest=False)
        values, places = passing
        none = torch.isinf(values) & (values > 0)
        ids = torch.where(none, -1, tile.ids[places.long()])
        self.best, order = torch.cat([self.best, values], 1).topk(wanted, dim=1, largest=False)
        self.ids = torch.cat([self.ids, ids], 1).gather(1, order)
        if not values.shape[1]:
            return worst
        return torch.minimum(worst, values.min(dim=1).values)


def _scores(
    queries: torch.Tensor, factors: torch.Tensor, vectors: torch.Tensor, norms: torch.Tensor
) -> torch.Tensor:
    """Squared distances (m, n) less the queries' squared norms."""
    if queries.is_cuda:
        products = torch.mm(queries, vectors.T, out_dtype=torch.float32)
    else:
        products = queries.float() @ vectors.float().T
    return torch.addcmul(norms[None], factors[:, None], products, value=-1)


def _passing(
    queries: torch.Tensor,
    factors: torch.Tensor,
    vectors: torch.Tensor,
    norms: torch.Tensor,
    worst: torch.Tensor,
    most: int,
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Scores below each query's `worst` and their places, (m, some), infinite where there are less.

    None where more than `most` pass.
    """
    scores = _scores(queries, factors, vectors, norms)
    passes = scores < worst[:, None]
    counts = passes.sum(1)
    width = int(counts.max())
    if width > most:
        return None
    query, place = passes.nonzero(as_tuple=True)
    at = torch.arange(len(query), device=query.device) - (counts.cumsum(0) - counts)[query]
    values = torch.full((len(queries), width), torch.inf, device=query.device)
    places = torch.zeros((len(queries), width), dtype=torch.int64, device=query.device)
    values[query, at] = scores[query, place]
    places[query, at] = place
    return values, places


def _on_device(vectors: Vectors, device: str) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """(ids, vectors as stored, on the device) of each block; the one ahead is copied meanwhile."""
    blocks = vectors.blocks()
    if device == "cpu":
        for ids, rows in blocks:
            yield ids, torch.from_numpy(rows.copy())
        return
    stream = torch.cuda.Stream()
    pinned: list[torch.Tensor] = []

    def read() -> tuple[np.ndarray, torch.Tensor] | None:
        if (block := next(blocks, None)) is None:
            return None
        ids, rows = block
        if not pinned or pinned[0].dtype != torch.from_numpy(rows[:0].copy()).dtype:
            shape = (min(vectors.plan.rows, len(vectors.store)), rows.shape[1])
            dtype = torch.from_numpy(rows[:0].copy()).dtype
            pinned[:] = [torch.empty(shape, dtype=dtype, pin_memory=True)]
        held = pinned[0][: len(ids)]
        np.copyto(held.numpy(), rows)
        with torch.cuda.stream(stream):
            copied = held.to(device, non_blocking=True)
        stream.synchronize()
        return ids, copied

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read)
        while (block := ahead.result()) is not None:
            ahead = reader.submit(read)
            block[1].record_stream(torch.cuda.current_stream())
            yield block


def scan(vectors: Vectors, queries: np.ndarray, wanted: int) -> Found:
    """The `wanted` nearest of `queries` (m, d), which are less the centre."""
    centre = torch.from_numpy(vectors.centre).to(DEVICE)
    nearest, least = None, []
    for ids, block in _on_device(vectors, DEVICE):
        names = torch.from_numpy(ids).to(DEVICE)
        if nearest is None:
            norms = (block[:SEED].to(torch.float64) - centre).square().sum(1).sqrt()
            scale = float(_power(norms.median().cpu().numpy()))
            nearest = Nearest(queries, wanted, scale, DEVICE)
        tile = prepare(block, names, centre, scale)
        if not bool(tile.norms.isfinite().all()):  # or they are too large
            refuse_non_finite(ids, block.cpu().numpy())
        least.append(nearest.add(tile))
    assert nearest is not None  # the caller has seen a vector
    squares = nearest.norms**2
    found = nearest.ids.cpu().numpy()
    rest = nearest.best[:, -1].double().cpu().numpy() + squares
    rest = np.where((found < 0).any(axis=1), np.inf, rest)
    nearest_each = torch.stack(least, 1).double().cpu().numpy() + squares[:, None]
    return Found(
        found,
        rest,
        nearest_each,
        nearest.seen,
        nearest.norms,
        FLOAT16,
        nearest.scale,
        nearest.scales,
    )
