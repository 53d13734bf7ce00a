"""Bring your own documents and neighbours: `tttnn adapt`, without a corpus or an index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from tttnn.files import write_json
from tttnn.methods.measure import Query
from tttnn.methods.split import SPLIT_TOKENS, split_text
from tttnn.methods.ttt import engine
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import context_length, load_causal


def read_cases(path: Path) -> list[Query]:
    """Read JSONL of objects with `id`, `text` and `neighbors`, texts in training order.

    Raises `ValueError` naming the line of a case that lacks one of them or has an empty text.
    """
    queries = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            case = json.loads(line)
            query = Query(case["id"], case["text"], case["neighbors"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: not an object with id, text and neighbors ({error!r})"
            ) from None
        if not isinstance(query.text, str) or not query.text:
            raise ValueError(f"{path}, line {number}: text is empty: there is nothing to evaluate")
        is_list = isinstance(query.neighbors, list)
        if not is_list or not all(isinstance(text, str) for text in query.neighbors):
            raise ValueError(f"{path}, line {number}: neighbors must be a list of texts")
        queries.append(query)
    return queries


def adapt(
    cases: Path,
    /,
    model: Path,
    output: Path,
    learning_rate: float,
    neighbors: int = 50,
    window: int = 0,
    as_released: bool = False,
    split: bool = False,
    dynamic: bool = False,
) -> None:
    """Adapt a model to each case's document on the case's neighbours and measure after each one.

    CASES is JSONL: id, text, neighbors (texts, nearest first). MODEL is a folder in Hugging Face
    format. WINDOW is the context length in tokens; 0: the model's own. OUTPUT is a JSON list, an
    object for each case: id, loglikelihood (natural log; before training and after each
    neighbour), bytes and words of the evaluated text, train_loss for each neighbour.

    --as-released  one optimiser for all cases, as in the paper's released code
    --split        evaluate the second half of each document only
    --dynamic      dynamic evaluation: train on the first half instead of the neighbours, as many
                   times, and evaluate the second half
    """
    if split and dynamic:
        raise ValueError("--split and --dynamic exclude each other")
    queries = read_cases(cases)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, tokenizer = load_causal(model, device=device)
    recipe = Recipe(
        num_neighbors=neighbors,
        evaluate_at=list(range(neighbors + 1)),
        text="split" if split or dynamic else "document",
        train_on="query" if dynamic else "neighbors",
        learning_rate=learning_rate,
        as_released=as_released,
    )
    if split or dynamic:
        halves = [split_text(tokenizer, query.text, SPLIT_TOKENS) for query in queries]
        queries = [
            Query(query.id, second, query.neighbors, context=first)
            for query, (first, second) in zip(queries, halves, strict=True)
        ]
    adapted = engine.adapt(network, tokenizer, queries, recipe, window or context_length(network))
    results: list[dict[str, Any]] = []
    for result in tqdm(adapted, total=len(queries), unit="doc", mininterval=2):
        results.append(
            {
                "id": result.query.id,
                "loglikelihood": [m.loglikelihood for m in result.measurements],
                "bytes": result.size.bytes,
                "words": result.size.words,
                "train_loss": [
                    None if m.train_loss != m.train_loss else m.train_loss
                    for m in result.measurements[1:]
                ],
            }
        )
    write_json(output, results)
