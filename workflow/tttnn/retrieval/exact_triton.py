"""A matrix product of which only what is below a threshold is written."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

SHAPES = [
    {"BQ": 128, "BX": 256, "BK": 64, "num_warps": 8, "num_stages": 4},
    {"BQ": 128, "BX": 128, "BK": 64, "num_warps": 4, "num_stages": 3},
    {"BQ": 128, "BX": 128, "BK": 64, "num_warps": 8, "num_stages": 3},
]
"""Queries, vectors and numbers of a block of the product, the fastest first (measured on an H200:
benchmarks/gpu_search.py)."""


@triton.jit
def _kernel(
    queries,
    vectors,
    norms,
    factors,
    worst,
    counts,
    values,
    places,
    m,
    n,
    most,
    D: tl.constexpr,
    BQ: tl.constexpr,
    BX: tl.constexpr,
    BK: tl.constexpr,
):
    # blocks side by side have the same vectors, which are then read once
    across = tl.cdiv(m, BQ)
    q = (tl.program_id(0) % across) * BQ + tl.arange(0, BQ)
    x = (tl.program_id(0) // across) * BX + tl.arange(0, BX)
    k = tl.arange(0, BK)
    query = queries + (q % m).to(tl.int64)[:, None] * D + k[None, :]
    vector = vectors + (x % n).to(tl.int64)[None, :] * D + k[:, None]
    product = tl.zeros((BQ, BX), dtype=tl.float32)
    for _ in range(0, D, BK):
        product = tl.dot(tl.load(query), tl.load(vector), product)
        query += BK
        vector += BK
    norm = tl.load(norms + x, mask=x < n, other=float("inf"))
    factor = tl.load(factors + q, mask=q < m, other=0.0)
    bound = tl.load(worst + q, mask=q < m, other=float("-inf"))
    score = norm[None, :] - factor[:, None] * product
    passes = score < bound[:, None]
    if tl.max(tl.max(passes.to(tl.int32), axis=1), axis=0) > 0:
        ones = passes.to(tl.int32)
        some = tl.sum(ones, axis=1)
        # a place for each that passes, taken for a whole row at once: of the many that would add to
        # one number side by side, a compiled kernel lost half
        taken = tl.atomic_add(counts + q, some, mask=some > 0, sem="relaxed")
        at = taken[:, None] + tl.cumsum(ones, axis=1) - 1
        kept = passes & (at < most)
        to = q.to(tl.int64)[:, None] * most + at
        tl.store(values + to, score, mask=kept)
        tl.store(places + to, x[None, :] + tl.zeros((BQ, BX), dtype=tl.int32), mask=kept)


def passing(
    queries: torch.Tensor,
    factors: torch.Tensor,
    vectors: torch.Tensor,
    norms: torch.Tensor,
    worst: torch.Tensor,
    most: int,
    shape: dict[str, int],
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """As `tttnn.retrieval.exact_cuda._passing`, without writing scores that do not pass."""
    m, n, device = len(queries), len(vectors), queries.device
    counts = torch.zeros(m, dtype=torch.int32, device=device)
    values = torch.empty((m, most), dtype=torch.float32, device=device)
    places = torch.empty((m, most), dtype=torch.int32, device=device)
    grid = (triton.cdiv(m, shape["BQ"]) * triton.cdiv(n, shape["BX"]),)
    _kernel[grid](
        queries,
        vectors,
        norms,
        factors,
        worst,
        counts,
        values,
        places,
        m,
        n,
        most,
        D=queries.shape[1],
        **shape,
    )
    width = int(counts.max())
    if width > most:
        return None
    none = torch.arange(width, device=device)[None] >= counts[:, None]
    values, places = values[:, :width], places[:, :width]
    return torch.where(none, torch.inf, values), torch.where(none, 0, places)
