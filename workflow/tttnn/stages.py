"""The stages: which module holds each, and what each reads from the configuration.

A stage is a function of that name in that module. Rules take from here the two params that decide
about reruns (see `tttnn.provenance`), the command line finds the function here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tttnn.config.methods import ENGINES, Placement
from tttnn.config.root import Config
from tttnn.pile import SPLITS, SUFFIXES
from tttnn.provenance import canonical, fingerprint, merged

MODULES = {
    "download_shard": "tttnn.download",
    "chunk_shard": "tttnn.chunk",
    "list_passages": "tttnn.passages",
    "fetch_model": "tttnn.fetch",
    "train_model": "tttnn.train",
    "train_embedder": "tttnn.train",
    "embed_chunk": "tttnn.embed",
    "embed_queries": "tttnn.embed",
    "train_shard_index": "tttnn.index",
    "merge_training": "tttnn.index",
    "fill_shard_index": "tttnn.index",
    "merge_index": "tttnn.index",
    "select_documents": "tttnn.select",
    "split_documents": "tttnn.split",
    "search_index": "tttnn.search",
    "draw_random": "tttnn.search",
    "choose_neighbors": "tttnn.choose",
    "measure_recall": "tttnn.search",
    "measure_distances": "tttnn.distances",
    "gather_neighbors": "tttnn.gather",
    "evaluate_part": "tttnn.evaluate",
    "score": "tttnn.score",
    "draw_figure": "tttnn.figures.draw",
    "published_tables": "tttnn.published.tables",
    "paper_figures": "tttnn.figures.paper",
    "compare": "tttnn.compare",
    "draw_side_by_side": "tttnn.figures.paper_compare",
}


def code(stage: str, *modules: str) -> str:
    """The `code` param: a fingerprint of what the stage runs, and of modules it loads by name."""
    return ",".join(fingerprint(module) for module in (MODULES[stage], *modules))


class Specs:
    """The `spec` params: for each stage, the canonical JSON of exactly what it reads.

    Methods take Snakemake's wildcards, whether or not the stage's spec depends on them.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._evaluation = cache(self._evaluation)  # thousands of jobs share some dozens

    def download_shard(self, wildcards: Any) -> str:
        corpus = self._config.corpus
        source = self._config.source.model_dump(mode="json")
        # what concerns other shards must not fetch this one again
        if "files" in source:
            source["files"] = {wildcards.shard: source["files"][wildcards.shard]}
        if "sha256" in source:
            stem = wildcards.shard if wildcards.shard in SPLITS else f"train/{wildcards.shard}"
            mine = [*source.get("files", {}).values(), *(stem + suffix for suffix in SUFFIXES)]
            source["sha256"] = {name: d for name, d in source["sha256"].items() if name in mine}
        return canonical(
            {
                "source": source,
                "shards": corpus.shards,
                "on_bad_record": corpus.on_bad_record,
                "train_has_subsets": corpus.train_has_subsets,
            }
        )

    def chunk_shard(self, wildcards: Any) -> str:
        return canonical(self._config.chunk)

    def model(self, wildcards: Any) -> str:
        # how fast a model adapts is no part of how it was made
        return canonical(merged(self._config.models[wildcards.model], adapt_learning_rate=None))

    def embed(self, wildcards: Any) -> str:
        return canonical(self._config.embed)

    def index(self, wildcards: Any) -> str:
        # nprobe is for those who search
        return canonical(merged(self._config.indexes[wildcards.index], nprobe=1))

    def select_documents(self, wildcards: Any) -> str:
        is_val = wildcards.queries == "val"
        return canonical(self._config.validation if is_val else self._config.select)

    def compare(self, wildcards: Any) -> str:
        return canonical(self._config.select)

    def split_documents(self, wildcards: Any) -> str:
        # the tokenizer is an input
        return canonical({"tokens": self._config.split.tokens})

    def choose_neighbors(self, wildcards: Any) -> str:
        return canonical(self._config.selections[wildcards.selection])

    def search_index(self, wildcards: Any) -> str:
        nprobe = self._config.indexes[wildcards.index].nprobe
        return canonical({"candidates": self._config.search.candidates, "nprobe": nprobe})

    def draw_random(self, wildcards: Any) -> str:
        seed = self._config.select.seed
        return canonical({"candidates": self._config.search.candidates, "seed": seed})

    def measure_recall(self, wildcards: Any) -> str:
        search = self._config.search
        at = [k for k in search.recall_at if k <= search.candidates]
        nprobe = self._config.indexes[wildcards.index].nprobe
        return canonical({"queries": search.recall_queries, "at": at, "nprobe": nprobe})

    def measure_distances(self, wildcards: Any) -> str:
        indexes = {name: self._config.indexes[name] for name in self._config.built_indexes}
        held = {name: {"share": i.share, "embedder": i.embedder} for name, i in indexes.items()}
        return canonical({"indexes": held})

    def gather_neighbors(self, wildcards: Any) -> str:
        return canonical(self._config.gather)

    def evaluate_part(self, wildcards: Any) -> str:
        method, model = wildcards.method, wildcards.model
        return self._evaluation(model, method, len(self._config.parts(method, wildcards.task)))

    def validate_part(self, wildcards: Any) -> str:
        return self._evaluation(wildcards.model, wildcards.method, 1)

    def _evaluation(self, model: str, method: str, parts: int) -> str:
        chosen = self._config.methods[method]
        recipe = chosen.model_dump(mode="json", exclude=set(Placement.model_fields))
        if "learning_rate" in recipe and recipe["learning_rate"] is None:
            recipe["learning_rate"] = self._config.models[model].adapt_learning_rate
        selection = self._config.selections.get(chosen.candidates)
        return canonical(
            {
                "recipe": recipe,
                "parts": parts,
                "max_overlap": chosen.max_overlap,
                "stops": selection is not None and selection.stop is not None,
            }
        )

    def evaluation_code(self, wildcards: Any) -> str:
        """The `code` param of an evaluation: of its kind of method, and of no other."""
        return code("evaluate_part", ENGINES[self._config.methods[wildcards.method].kind])

    def score(self, wildcards: Any) -> str:
        config = self._config
        methods = {name: config.methods[name] for name in config.evaluated}
        cells = [(*cell, len(config.parts(*cell[1:]))) for cell in config.cells()]
        return canonical(
            merged(
                config.score,
                run=config.run,
                candidates={name: method.candidates for name, method in methods.items()},
                cells=cells,
                mixtures={name: methods[name].chooses_on_test for name in config.mixtures},
                halves=[name for name in methods if config.queries(name) == "halves"],
            )
        )

    def draw_figure(self, wildcards: Any) -> str:
        return canonical({"name": wildcards.figure})
