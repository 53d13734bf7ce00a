"""Bits per byte of a record's documents by the model alone, with more of its context.

python benchmarks/context.py docs/records/pretrained MODEL TEXTS [--recorded 512] [--window 2048]

A record's `before` is measured in windows of so many tokens (the method's `window`); a model may
read more at once, which costs no training. Of the record's main method, TEXTS (the run's corpus
file of test documents) has the texts, known by their SHA-256. A row of each task and of all: bytes
by bytes `before` and `after` as recorded, and `context`, without neighbours in the larger window.
The first document of each task is measured in the recorded window as well, and must have the
recorded number.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from pathlib import Path

import pandas as pd
from tqdm import tqdm

import tttnn
from tttnn.corpus.documents import read_documents

MEASURES = ["before", "after", "context"]


def recorded(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The documents of the record's first method at its most neighbours, with their digests."""
    found = tables["documents"]
    first = found["method"].iloc[0]
    rows = found[found["method"] == first].merge(tables["selected"], on=["task", "document_id"])
    return rows[rows["num_neighbors"] == rows["num_neighbors"].max()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--recorded", type=int, default=512)
    parser.add_argument("--window", type=int, default=2048)
    options = parser.parse_args()
    rows = recorded(dict(tttnn.read_tables(options.record)))
    wanted = set(rows["sha256"])
    texts = {}
    for document in read_documents(options.texts, needs_subset=False):
        digest = hashlib.sha256(document.text.encode()).hexdigest()
        if digest in wanted:
            texts[digest] = document.text
    if missing := wanted - texts.keys():
        raise SystemExit(f"{options.texts} lacks {len(missing)} of the record's documents")
    model, tokenizer = tttnn.load_model(options.model)
    first = set(rows.groupby("task")["sha256"].first())
    apart, context = 0.0, []
    for row in tqdm(rows.itertuples(), total=len(rows), unit="document"):
        text = texts[row.sha256]
        context.append(tttnn.bits_per_byte(model, tokenizer, text, options.window))
        if row.sha256 in first:
            again = tttnn.bits_per_byte(model, tokenizer, text, options.recorded)
            apart = max(apart, abs(again / row.before - 1))
    rows = rows.assign(context=context)
    if not math.isclose(apart, 0, abs_tol=1e-5):
        raise SystemExit(f"in windows of {options.recorded} the numbers are {apart:.1g} apart")
    bits = rows[MEASURES].mul(rows["bytes"], axis=0).assign(bytes=rows["bytes"])
    sums = pd.concat([bits.groupby(rows["task"]).sum(), bits.sum().to_frame("all").T])
    means = sums[MEASURES].div(sums["bytes"], axis=0)
    print(means.assign(documents=[*rows.groupby("task").size(), len(rows)]).round(4).to_string())
    better = (rows["context"] < rows["after"]).sum()
    print(f"context alone is better than training for {better} of {len(rows)} documents")
    print(f"recorded and measured again: {apart:.1g} apart")


if __name__ == "__main__":
    main()
