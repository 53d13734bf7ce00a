"""Every job that a configuration needs, with its files: what Snakemake will find out by itself.

For those who look from outside, `tttnn status` and `tttnn plan`; a test holds it against Snakemake.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tttnn.config.index import RANDOM
from tttnn.config.models import TrainedModel
from tttnn.config.root import Config
from tttnn.pile import TASKS
from tttnn.published.names import MODELS as PUBLISHED_MODELS


class Job(NamedTuple):
    """A rule with its wildcards' values, in the order in which they stand in its log's path."""

    rule: str
    wildcards: tuple[str, ...]
    outputs: tuple[str, ...]  # from the folder that Snakemake runs in

    def file(self, run: str, kind: str, suffix: str) -> str:
        """The job's log (`logs`, `.log`) or benchmark (`benchmarks`, `.tsv`)."""
        return "/".join(("results", run, kind, self.rule, *self.wildcards)) + suffix


def _corpus(config: Config, models: list[str]) -> Iterator[Job]:
    results = f"results/{config.run}"
    trains = any(isinstance(config.models[name], TrainedModel) for name in models)
    for shard in [*config.shards, "test", *(["val"] if trains else [])]:
        stem = f"{results}/corpus/{shard}"
        suffixes = (".jsonl.zst", ".rejected.jsonl", ".json")
        yield Job("download_shard", (shard,), tuple(stem + suffix for suffix in suffixes))
    for shard in config.shards:
        chunks = range(config.chunk.chunks_per_shard)
        passages = tuple(f"{results}/passages/{shard}/{chunk}.parquet" for chunk in chunks)
        yield Job("chunk_shard", (shard,), passages)
    queries = tuple(f"{results}/queries/{name}.parquet" for name in TASKS)
    yield Job("select_documents", (), (*queries, f"{results}/queries/selection.json"))


def _models(config: Config, models: list[str]) -> Iterator[Job]:
    for name in models:
        model = config.models[name]
        rule = "fetch_model"
        if isinstance(model, TrainedModel):
            rule = "train_model" if model.objective == "causal" else "train_embedder"
        yield Job(rule, (name,), (f"results/{config.run}/models/{name}",))


def _vectors(config: Config) -> Iterator[Job]:
    results = f"results/{config.run}"
    for embedder in config.embedders:
        for shard in config.shards:
            for chunk in map(str, range(config.chunk.chunks_per_shard)):
                vectors = f"{results}/embeddings/{embedder}/{shard}/{chunk}.npy"
                yield Job("embed_chunk", (embedder, shard, chunk), (vectors,))
        yield Job("embed_queries", (embedder,), (f"{results}/queries/embeddings/{embedder}.npy",))
    for index in config.search.indexes:
        folder = f"{results}/index/{index}"
        for shard in config.shards:
            learnt = f"{folder}/trained/{shard}.safetensors"
            yield Job("train_shard_index", (index, shard), (learnt,))
        yield Job("merge_training", (index,), (f"{folder}/trained.faiss",))
        for shard in config.shards:
            yield Job("fill_shard_index", (index, shard), (f"{folder}/shards/{shard}.faiss",))
        yield Job("merge_index", (index,), (f"{folder}/merged",))


def _neighbors(config: Config) -> Iterator[Job]:
    results = f"results/{config.run}"

    def of_all_tasks(candidates: str) -> tuple[str, ...]:
        return tuple(f"{results}/candidates/{candidates}/{task}.parquet" for task in TASKS)

    for index in config.search.indexes:
        yield Job("search_index", (index,), of_all_tasks(index))
        yield Job("measure_recall", (index,), (f"{results}/index/{index}/recall.csv",))
    needed = dict.fromkeys(
        (config.methods[method].candidates, task) for _, method, task in config.cells()
    )
    if any(candidates == RANDOM for candidates, _ in needed):
        yield Job("draw_random", (), of_all_tasks(RANDOM))
    for candidates, task in needed:
        neighbors = f"{results}/neighbors/{candidates}/{task}.parquet"
        yield Job("gather_neighbors", (candidates, task), (neighbors,))


def _evaluation(config: Config) -> Iterator[Job]:
    results, figures = f"results/{config.run}", f"figures/{config.run}"
    for model, method, task in config.cells():
        for part in config.parts(task):
            rows = f"{results}/evaluation/{model}/{method}/{task}/{part}.parquet"
            yield Job("evaluate_part", (model, method, task, part), (rows,))
    names = ("scores", "clean", "differences", "costs", "tasks", "corpus", "recall")
    tables = tuple(f"{results}/tables/{name}.csv" for name in names)
    yield Job("score", (), (*tables, f"{results}/tables/summary.tex"))
    for name in config.figures:
        yield Job("draw_figure", (name,), (f"{figures}/{name}.svg", f"{figures}/{name}.pdf"))
    if set(config.evaluate.models) & set(PUBLISHED_MODELS):
        yield Job("compare", (), (f"{results}/tables/side_by_side.csv",))
        figure = f"{figures}/side_by_side"
        yield Job("draw_side_by_side", (), (f"{figure}.svg", f"{figure}.pdf"))


def jobs(config: Config) -> list[Job]:
    """The jobs behind `snakemake` without targets, in the order of the data."""
    models = list(dict.fromkeys([*config.embedders, *(model for model, _, _ in config.cells())]))
    models += [name for name in config.chunk_tokenizer if name not in models]
    return [
        *_corpus(config, models),
        *_models(config, models),
        *_vectors(config),
        *_neighbors(config),
        *_evaluation(config),
    ]
