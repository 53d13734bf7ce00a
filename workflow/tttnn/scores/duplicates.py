"""How much of a gain is due to near-copies of the test documents among their neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from tttnn.scores.bootstrap import resample_counts
from tttnn.scores.cells import Cell
from tttnn.scores.near_copies import copied
from tttnn.sections.score import Score


def document_table(cells: list[Cell], spec: Score, run: str) -> pd.DataFrame:
    """A row a document of each cell: bits per byte before and after, and its overlaps.

    `neighbor_seconds` are of training per neighbour, without the evaluations; `lost_characters` is
    empty where the tokenizer could not tell.
    """
    return pd.concat(
        pd.DataFrame(
            {
                "run": run,
                **cell.name._asdict(),
                "document_id": cell.documents,
                "num_neighbors": cell.points[-1],
                "bytes": cell.bytes,
                "lost_characters": cell.lost,
                "before": -cell.loglikelihood[:, 0] / cell.bytes / math.log(2),
                "after": -cell.loglikelihood[:, -1] / cell.bytes / math.log(2),
                "neighbor_seconds": cell.train_seconds[:, -1] / (cell.points[-1] or math.nan),
                "exact": cell.exact,
                "overlap": cell.overlap,
                "jaccard": cell.jaccard,
                "copied": copied(cell, spec),
            }
        )
        for cell in cells
    )


def share_rows(cells: list[Cell], spec: Score, run: str) -> Iterator[dict[str, Any]]:
    """For each cell: its documents with a near-copy, and their share of all bits gained.

    `share` is the bits that documents with a near-copy gained at the most neighbours, by those that
    all documents gained; empty where nothing was gained on the whole. Its interval is a
    bootstrap's over documents.
    """
    tail = (1 - spec.confidence) / 2
    for cell in cells:
        mask = copied(cell, spec)
        gain = (cell.loglikelihood[:, -1] - cell.loglikelihood[:, 0]) / math.log(2)
        n = len(gain)
        counts = resample_counts(n, spec.resamples, spec.seed, cell.name.task)
        total, copied_gain = gain.sum(), gain[mask].sum()
        share = low = high = math.nan
        if total > 0:
            share = copied_gain / total
            with np.errstate(divide="ignore", invalid="ignore"):
                shares = (counts @ (gain * mask)) / (counts @ gain)
            if n > 1 and np.isfinite(shares).all():
                low, high = np.quantile(shares, [tail, 1 - tail])
        yield {
            "run": run,
            **cell.name._asdict(),
            "num_neighbors": cell.points[-1],
            "documents": n,
            "exact": int(cell.exact.sum()),
            "copied": int(mask.sum()),
            "gain_bits": total,
            "gain_bits_of_copied": copied_gain,
            "share": share,
            "low": low,
            "high": high,
        }
