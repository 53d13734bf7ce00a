"""A cell is the table of its files' rows, whatever order these are in."""

from __future__ import annotations

import random

import pytest

from synthetic_run import row, write_rows
from tttnn.scores.cells import read_cells

NEIGHBORS, ALPHAS, DOCUMENTS = [0, 1, 5], [0.1, 0.2], [3, 8]


def value(document, neighbors, alpha):
    """Another one for each document, number of neighbors and alpha, exact in binary."""
    return -1000.0 * document - 10 * neighbors - (5 * alpha if neighbors else 0)


@pytest.mark.parametrize("parts", [1, 2])
def test_every_number_is_at_its_document_neighbors_and_alpha(parts, tmp_path):
    rows = [
        row(
            document,
            k,
            alpha=alpha if k else None,
            loglikelihood=value(document, k, alpha),
            train_tokens=100 * document + k,
            train_seconds=document + k / 8,
            evaluate_seconds=document / 16 + k,
            bytes=document,
            words=document + 1,
            overlap=k / 8,
        )
        for document in DOCUMENTS
        for k in NEIGHBORS
        for alpha in (ALPHAS if k else ALPHAS[:1])
    ]
    random.Random(0).shuffle(rows)
    folder = tmp_path / "small" / "nearest" / "pile_arxiv"
    files = [write_rows(folder / f"{p}.parquet", rows[p::parts]) for p in range(parts)]
    (cell,) = read_cells(files, {"pile_arxiv": 2})
    assert (cell.documents.tolist(), cell.points.tolist()) == (DOCUMENTS, NEIGHBORS)
    assert cell.alphas.tolist() == ALPHAS
    assert cell.grid.tolist() == [
        [[value(document, k, alpha) for alpha in ALPHAS] for k in NEIGHBORS]
        for document in DOCUMENTS
    ]
    assert cell.train_tokens.tolist() == [[300, 301, 305], [800, 801, 805]]
    assert cell.train_seconds.tolist() == [[3, 3.125, 3.625], [8, 8.125, 8.625]]
    assert cell.evaluate_seconds.tolist() == [[0.1875, 1.1875, 5.1875], [0.5, 1.5, 5.5]]
    assert (cell.bytes.tolist(), cell.words.tolist()) == ([3, 8], [4, 9])
    assert cell.overlap.tolist() == [0.625, 0.625]
    assert cell.at(0.2).loglikelihood.tolist() == [
        [value(document, k, 0.2) for k in NEIGHBORS] for document in DOCUMENTS
    ]
