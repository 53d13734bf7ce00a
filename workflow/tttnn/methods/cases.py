"""Bring your own documents and neighbours: `tttnn adapt`, without a corpus or an index."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from transformers import PreTrainedTokenizerBase

from tttnn.files import write_json
from tttnn.journal import Journal
from tttnn.methods.case_file import Case, check_output, counted, read_cases
from tttnn.methods.measure import Adapted, Query
from tttnn.methods.progress import Progress, warn_of_long
from tttnn.methods.split import SPLIT_TOKENS, split_text
from tttnn.methods.ttt import engine
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import choose_window, load_causal
from tttnn.models.hub import named
from tttnn.models.model_files import ModelError, check_folder
from tttnn.models.tokenizer import load_tokenizer
from tttnn.models.tokens import tokens
from tttnn.resume import identity
from tttnn.sections.lengths import Lengths
from tttnn.spans import speller

OPTIONS = {
    "num_neighbors": "--neighbors",
    "learning_rate": "--learning-rate",
    "max_neighbor_tokens": "--max-neighbor-tokens",
    "max_total_neighbor_tokens": "--max-total-neighbor-tokens",
}
"""What the command line calls a recipe's settings."""

MEASURED, DIVERGED, NO_HALVES = "measured", "diverged", "no halves"


def _recipe(**settings: Any) -> Recipe:
    """The recipe; raises `ValueError` in the words of the command line."""
    try:
        return Recipe(**settings)
    except ValidationError as error:
        faults = error.errors()
    raise ValueError(
        "; ".join(
            f"{OPTIONS.get(str(fault['loc'][0]) if fault['loc'] else '', 'the options')} is "
            f"{fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
            for fault in faults
        )
    )


def _halved(query: Query, tokenizer: PreTrainedTokenizerBase) -> Query | None:
    """The query of the document's second half; None if the document has no halves."""
    first, second = split_text(tokenizer, query.text, SPLIT_TOKENS)
    return replace(query, text=second, context=first) if first else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _result(adapted: Adapted, lost: int | None) -> dict[str, Any]:
    """A case's object in the output; numbers that are not finite are null."""
    likelihoods = [_finite(m.loglikelihood) for m in adapted.measurements]
    size = adapted.size
    return {
        "id": adapted.query.id,
        "status": DIVERGED if None in likelihoods else MEASURED,
        "loglikelihood": likelihoods,
        "bits_per_byte": [
            None if value is None else -value / size.bytes / math.log(2) for value in likelihoods
        ],
        "bytes": size.bytes,
        "words": size.words,
        "lost_characters": lost,
        "train_loss": [_finite(m.train_loss) for m in adapted.measurements[1:]],
    }


def _model_files(folder: Path) -> list[str]:
    """Names, sizes and times of a model's files: digests of its weights would cost minutes."""
    stats = [(path, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    return [f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats]


def _check_all_have_tokens(
    path: Path, cases: list[Case], tokenizer: PreTrainedTokenizerBase, model: Path
) -> None:
    for line, query in cases:
        if not tokens(tokenizer, query.text):
            raise ValueError(
                f"{path}, line {line}: the tokenizer of --model {model} has no token for the text "
                f"of case {query.id!r}: remove the case, or take a model that has"
            )


def _cost(query: Query, recipe: Recipe, neighbors: int) -> int:
    """What adapting to the query is expected to cost, as `Lengths.cost` has it."""
    text, context, *texts = (
        len(each.encode())
        for each in (query.text, query.context or "", *query.neighbors[:neighbors])
    )
    return Lengths(text, context, texts).cost(recipe)


def _results(
    queries: list[Query], model: Path, recipe: Recipe, window: int
) -> Iterator[dict[str, Any]]:
    """Adapt to each query in turn; what the output says of it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, tokenizer = load_causal(model, device=device)
    spelt = speller(tokenizer)
    longest = choose_window(network, window or None, "--window")
    for adapted in engine.adapt(network, tokenizer, queries, recipe, longest):
        yield _result(adapted, spelt.lost(adapted.query.text) if spelt else None)


def _report(path: Path, cases: list[Case], results: list[dict[str, Any]], output: Path) -> None:
    """Say what is not as in the cases' texts; raises `ValueError` if one has diverged."""
    lost = [result.get("lost_characters") or 0 for result in results]
    if sum(lost):
        print(
            f"warning: the tokenizer has no token for {counted(sum(lost), 'character')} "
            f"in {len(lost) - lost.count(0)} of {len(lost)} cases; their bytes are counted as if "
            f"they had been predicted (lost_characters in {output})",
            file=sys.stderr,
        )
    numbered = list(zip(cases, results, strict=True))
    if whole := [case for case, result in numbered if result["status"] == NO_HALVES]:
        print(
            f"{path}, line {whole[0].line}: case {whole[0].query.id!r} has no two tokens to cut "
            f"between and was left out ({len(whole)} of {len(cases)} cases have no halves)",
            file=sys.stderr,
        )
    failed = [(case, result) for case, result in numbered if result["status"] == DIVERGED]
    if failed:
        case, result = failed[0]
        place = result["loglikelihood"].index(None)
        remedy = "lower --learning-rate" if place else "check --model, which was not yet trained"
        raise ValueError(
            f"{path}, line {case.line}: case {case.query.id!r} diverged: its log-likelihood after "
            f"{counted(place, 'neighbour')} is not finite: {remedy} ({len(failed)} of {len(cases)} "
            f"cases diverged; {output} has the others, and a status for each)"
        )


def adapt(
    cases: Path,
    /,
    model: str,
    output: Path,
    learning_rate: float,
    neighbors: int = 50,
    window: int = 0,
    max_neighbor_tokens: int | None = None,
    max_total_neighbor_tokens: int | None = None,
    revision: str | None = None,
    as_released: bool = False,
    split: bool = False,
    dynamic: bool = False,
) -> None:
    """Adapt a model to each case's document on the case's neighbours and measure after each one.

    CASES            JSONL: id, text, neighbors (texts, nearest first)
    --model          a folder in Hugging Face format, or where there is none of that name a model of
                     the hub
    --revision       of the hub's model; without: its latest
    --output         the new JSON file
    --learning-rate  of the optimiser, AdamW: the paper's is 2e-5 for GPT-2
    --neighbors      how many of each case's neighbours are trained on
    --window         the context length in tokens; 0: the model's own
    --max-neighbor-tokens        train on this many of a neighbour's tokens, its first
    --max-total-neighbor-tokens  train on this many of a case's neighbours together
    --as-released  one optimiser for all cases, as in the paper's released code
    --split        evaluate the second half of each document only
    --dynamic      dynamic evaluation: train on the first half instead of the neighbours, as many
                   times, and evaluate the second half

    OUTPUT is a JSON list, an object for each case: id, status, loglikelihood (natural log; before
    training and after each neighbour), bits_per_byte, bytes and words of the evaluated text,
    lost_characters (that the model's tokenizer has no token for; null: it cannot tell), train_loss
    for each neighbour (null: it has nothing to train on, or its loss is not finite).

    The status is `measured`; or `diverged`, if a log-likelihood is not finite, which is null then,
    and the exit status 1; or `no halves`, without numbers, for a document that cannot be split. All
    cases are checked before the first is adapted to. Finished ones are kept in a journal beside
    OUTPUT, from which the same command goes on after a failure (not with --as-released, where each
    case depends on those before). OUTPUT may be there and is replaced, but not CASES, nor a file
    of MODEL.
    """
    if split and dynamic:
        raise ValueError("--split and --dynamic exclude each other")
    if window < 0 or window == 1:
        raise ValueError(f"--window is {window}: give 0 for the model's own, or 2 or more tokens")
    beside = output.with_name(f".{output.name}.journal")
    recipe = _recipe(
        num_neighbors=neighbors,
        evaluate_at=list(range(max(neighbors, 0) + 1)),
        text="split" if split or dynamic else "document",
        train_on="query" if dynamic else "neighbors",
        learning_rate=learning_rate,
        as_released=as_released,
        max_neighbor_tokens=max_neighbor_tokens,
        max_total_neighbor_tokens=max_total_neighbor_tokens,
    )
    check_output(output, beside, cases, Path(model).expanduser())
    given = read_cases(cases, 0 if dynamic else neighbors)
    try:
        folder = named(model, revision)
        check_folder(folder)
        tokenizer = load_tokenizer(folder)
    except ModelError as error:
        raise ValueError(f"--model {model}: {error}") from None
    _check_all_have_tokens(cases, given, tokenizer, folder)
    todo = [case.query for case in given]
    if recipe.evaluates_halves:
        todo = [half for query in todo if (half := _halved(query, tokenizer)) is not None]

    if recipe.depends_on_order:
        beside.unlink(missing_ok=True)
    settings = [recipe.model_dump_json(), str(window), *_model_files(folder)]
    with Journal(beside, identity([__name__, engine.__name__], settings, [cases])) as journal:
        done = {result["id"]: result for result in journal.entries}
        if done:
            print(f"going on after {len(done)} of {len(todo)} cases", file=sys.stderr)
        rest = [query for query in todo if query.id not in done]
        costs = {query.id: _cost(query, recipe, neighbors) for query in todo}
        warn_of_long(recipe, [(query, costs[query.id]) for query in rest])
        with Progress(costs, done, seconds=2) as progress:
            for result in _results(rest, folder, recipe, window) if rest else ():
                journal.append(result)
                done[result["id"]] = result
                progress.finish(result["id"])
    results = [
        done.get(case.query.id, {"id": case.query.id, "status": NO_HALVES}) for case in given
    ]
    write_json(output, results)
    journal.remove()
    _report(cases, given, results, output)
