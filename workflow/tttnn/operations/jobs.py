"""Every job that a configuration needs, with its files: what Snakemake will find out by itself.

For those who look from outside, `tttnn status` and `tttnn plan`; a test holds it against Snakemake.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tttnn.config.figures import drawn
from tttnn.config.root import Config
from tttnn.pile import TASKS
from tttnn.published.names import MODELS as PUBLISHED_MODELS
from tttnn.sections.search import RANDOM

WILDCARDS = {
    "download_shard": ("shard",),
    "chunk_shard": ("shard",),
    "select_documents": ("queries",),
    "fetch_model": ("model",),
    "train_model": ("model",),
    "train_embedder": ("model",),
    "embed_chunk": ("embedder", "shard", "chunk"),
    "embed_queries": ("queries", "embedder"),
    "train_shard_index": ("index", "shard"),
    "merge_training": ("index",),
    "fill_shard_index": ("index", "shard"),
    "merge_index": ("index",),
    "search_index": ("queries", "index"),
    "measure_recall": ("index",),
    "choose_neighbors": ("queries", "selection"),
    "draw_random": ("queries",),
    "gather_neighbors": ("queries", "candidates", "task"),
    "evaluate_part": ("model", "method", "task", "part"),
    "validate_part": ("model", "method", "task", "part"),
    "draw_figure": ("figure",),
}
"""Names of the rules' wildcards, in the order in which they stand in the logs' paths."""


class Job(NamedTuple):
    """A rule with its wildcards' values, in the order in which they stand in its log's path."""

    rule: str
    wildcards: tuple[str, ...]
    outputs: tuple[str, ...]  # from the folder that Snakemake runs in

    @property
    def named(self) -> dict[str, str]:
        """The wildcards by name."""
        return dict(zip(WILDCARDS.get(self.rule, ()), self.wildcards, strict=True))

    def file(self, run: str, kind: str, suffix: str) -> str:
        """The job's log (`logs`, `.log`) or benchmark (`benchmarks`, `.tsv`)."""
        return "/".join(("results", run, kind, self.rule, *self.wildcards)) + suffix


def query_sets(config: Config) -> list[str]:
    """The sets of texts that find neighbours."""
    extra = {"halves": config.splits, "val": bool(config.mixtures)}
    return ["test", *(name for name, is_used in extra.items() if is_used)]


def _corpus(config: Config, models: list[str]) -> Iterator[Job]:
    results = f"results/{config.run}"
    trains = any(config.models[name].trained_as for name in models)
    for shard in [*config.shards, "test", *(["val"] if trains or config.mixtures else [])]:
        stem = f"{results}/corpus/{shard}"
        suffixes = (".jsonl.zst", ".rejected.jsonl", ".json")
        yield Job("download_shard", (shard,), tuple(stem + suffix for suffix in suffixes))
    for shard in config.shards:
        chunks = range(config.chunk.chunks_per_shard)
        passages = tuple(f"{results}/passages/{shard}/{chunk}.parquet" for chunk in chunks)
        yield Job("chunk_shard", (shard,), passages)
    yield Job("list_passages", (), (f"{results}/passages/manifest.json",))
    for queries in query_sets(config):
        folder = f"{results}/queries/{queries}"
        files = tuple(f"{folder}/{task}.parquet" for task in TASKS)
        if queries == "halves":
            yield Job("split_documents", (), files)
        else:
            yield Job("select_documents", (queries,), (*files, f"{folder}/selection.json"))


def _models(config: Config, models: list[str]) -> Iterator[Job]:
    for name in models:
        model = config.models[name]
        rule = "fetch_model"
        if model.trained_as is not None:
            rule = "train_model" if model.trained_as == "causal" else "train_embedder"
        yield Job(rule, (name,), (f"results/{config.run}/models/{name}",))


def _vectors(config: Config) -> Iterator[Job]:
    results = f"results/{config.run}"
    for embedder in config.embedders:
        for shard in config.shards:
            for chunk in map(str, range(config.chunk.chunks_per_shard)):
                vectors = f"{results}/embeddings/{embedder}/{shard}/{chunk}.npy"
                outputs = (vectors, vectors.replace(".npy", ".json"))
                yield Job("embed_chunk", (embedder, shard, chunk), outputs)
    for queries, embedder in _embedded(config):
        vectors = f"{results}/queries/{queries}/embeddings/{embedder}.safetensors"
        yield Job("embed_queries", (queries, embedder), (vectors,))
    for index in config.built_indexes:
        folder = f"{results}/index/{index}"
        for shard in config.shards:
            learnt = f"{folder}/trained/{shard}.safetensors"
            yield Job("train_shard_index", (index, shard), (learnt,))
        yield Job("merge_training", (index,), (f"{folder}/trained.faiss",))
        for shard in config.shards:
            yield Job("fill_shard_index", (index, shard), (f"{folder}/shards/{shard}.faiss",))
        yield Job("merge_index", (index,), (f"{folder}/merged",))


def _sources(config: Config) -> dict[tuple[str, str, str], None]:
    """The (queries, candidates, task) whose texts are gathered, each once."""
    found, mixtures = {}, config.mixtures
    for _, method, task in config.cells():
        candidates = config.methods[method].candidates
        if candidates is not None:
            found[config.queries(method), candidates, task] = None
            if method in mixtures:
                found["val", candidates, task] = None
    return found


def _searched(config: Config) -> dict[tuple[str, str], None]:
    """The (queries, candidates) that are found, and those that they are chosen from."""
    found = {}
    for queries, candidates, _ in _sources(config):
        if candidates in config.selections:
            found[queries, config.selections[candidates].index] = None
        found[queries, candidates] = None
    # recall is measured on these
    return dict.fromkeys(("test", index) for index in config.built_indexes) | found


def _embedded(config: Config) -> dict[tuple[str, str], None]:
    """The (queries, embedder) that are embedded; random neighbours get distances as well."""
    found = {}
    for queries, candidates in _searched(config):
        if candidates == RANDOM:
            found[queries, config.embedders[0]] = None
        elif candidates in config.indexes:
            found[queries, config.indexes[candidates].embedder] = None
    return found


def _neighbors(config: Config) -> Iterator[Job]:
    results = f"results/{config.run}"
    for queries, candidates in _searched(config):
        folder = f"{results}/candidates/{queries}/{candidates}"
        files = tuple(f"{folder}/{task}.parquet" for task in TASKS)
        if candidates == RANDOM:
            yield Job("draw_random", (queries,), files)
        elif candidates in config.selections:
            yield Job("choose_neighbors", (queries, candidates), files)
        else:
            yield Job("search_index", (queries, candidates), files)
    for index in config.built_indexes:
        yield Job("measure_recall", (index,), (f"{results}/index/{index}/recall.csv",))
    tables = tuple(f"{results}/tables/{name}" for name in ("distances.csv", "pairs.parquet"))
    yield Job("measure_distances", (), tables)
    for source in _sources(config):
        yield Job("gather_neighbors", source, (f"{results}/neighbors/{'/'.join(source)}.parquet",))


def _evaluation(config: Config) -> Iterator[Job]:
    results, figures = f"results/{config.run}", f"figures/{config.run}"
    mixtures = config.mixtures
    for model, method, task in config.cells():
        for part in config.parts(method, task):
            rows = f"{results}/evaluation/{model}/{method}/{task}/{part}.parquet"
            yield Job("evaluate_part", (model, method, task, part), (rows,))
        if method in mixtures:
            rows = f"{results}/validation/{model}/{method}/{task}/0.parquet"
            yield Job("validate_part", (model, method, task, "0"), (rows,))
    names = (
        *("efficiency.csv", "alphas.csv", "recall.csv", "documents.parquet", "summary.tex"),
        *("scores.csv", "clean.csv", "differences.csv", "comparisons.csv", "duplicates.csv"),
        *("costs.csv", "tasks.csv", "corpus.csv", "environment.csv"),
    )
    yield Job("score", (), tuple(f"{results}/tables/{name}" for name in names))
    for name in drawn(config):
        yield Job("draw_figure", (name,), (f"{figures}/{name}.svg", f"{figures}/{name}.pdf"))
    if set(config.evaluate.models) & set(PUBLISHED_MODELS):
        yield Job("compare", (), (f"{results}/tables/side_by_side.csv",))
        figure = f"{figures}/side_by_side"
        yield Job("draw_side_by_side", (), (f"{figure}.svg", f"{figure}.pdf"))


def jobs(config: Config) -> list[Job]:
    """The jobs behind `snakemake` without targets, in the order of the data."""
    models = list(dict.fromkeys([*config.embedders, *(model for model, _, _ in config.cells())]))
    models += [name for name in config.chunk_tokenizer if name not in models]
    if config.splits and config.split.tokenizer not in models:
        models.append(config.split.tokenizer)
    return [
        *_corpus(config, models),
        *_models(config, models),
        *_vectors(config),
        *_neighbors(config),
        *_evaluation(config),
    ]
