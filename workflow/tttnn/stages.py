"""The stages: which module holds each, and what each reads from the configuration.

A stage is a function of that name in that module. Rules take from here the two params that decide
about reruns (see `tttnn.provenance`), the command line finds the function here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial, reduce
from inspect import signature
from typing import Any

from tttnn.config.figures import FIGURES, caption, drawn
from tttnn.config.root import Config
from tttnn.fingerprints import of_package
from tttnn.methods.needs import with_rates
from tttnn.needs.rates import CPU, GPU
from tttnn.provenance import canonical, merged
from tttnn.sections.experts import Clustering, Training
from tttnn.sections.hours import Afforded
from tttnn.sections.kinds import INDEXES, METHODS, SELECTIONS, SOURCES, engine
from tttnn.sections.method import Placement
from tttnn.sections.pool import POOLS
from tttnn.sections.select import Select

MODULES = {
    "download_shard": "tttnn.corpus.download",
    "chunk_shard": "tttnn.corpus.chunk",
    "list_passages": "tttnn.corpus.passages",
    "fetch_model": "tttnn.models.fetch",
    "train_model": "tttnn.models.train",
    "train_embedder": "tttnn.models.train",
    "embed_chunk": "tttnn.retrieval.embed",
    "embed_queries": "tttnn.retrieval.embed",
    "list_embeddings": "tttnn.retrieval.vectors",
    "adopt_embeddings": "tttnn.retrieval.adopt",
    "train_shard_index": "tttnn.retrieval.index",
    "merge_training": "tttnn.retrieval.index",
    "fill_shard_index": "tttnn.retrieval.index",
    "merge_index": "tttnn.retrieval.index",
    "select_documents": "tttnn.corpus.select",
    "split_documents": "tttnn.methods.split",
    "cut_windows": "tttnn.methods.cut_windows",
    "search_shard": "tttnn.retrieval.search",
    "merge_candidates": "tttnn.retrieval.search",
    "draw_random": "tttnn.retrieval.control",
    "count_words": "tttnn.retrieval.words",
    "search_words": "tttnn.retrieval.words",
    "merge_scored": "tttnn.retrieval.scored_candidates",
    "embed_windows": "tttnn.retrieval.windows",
    "search_windows": "tttnn.retrieval.search_windows",
    "choose_windows": "tttnn.retrieval.choose_windows",
    "pool_candidates": "tttnn.retrieval.pool",
    "choose_neighbors": "tttnn.retrieval.choose",
    "measure_recall": "tttnn.retrieval.recall",
    "measure_distances": "tttnn.retrieval.distances",
    "want_texts": "tttnn.retrieval.texts",
    "collect_texts": "tttnn.retrieval.texts",
    "gather_neighbors": "tttnn.retrieval.gather",
    "evaluate_part": "tttnn.methods.evaluate",
    "evaluate_windows": "tttnn.methods.evaluate_windows",
    "choose_settings": "tttnn.scores.tuning",
    "evaluate_tuned": "tttnn.methods.tuned",
    "list_choices": "tttnn.scores.tuning",
    "list_hours": "tttnn.scores.hours",
    "score": "tttnn.scores.score",
    "score_windows": "tttnn.scores.positions",
    "cluster_passages": "tttnn.retrieval.clusters",
    "train_expert": "tttnn.methods.experts.train",
    "evaluate_experts": "tttnn.methods.experts.evaluate",
    "weigh_experts": "tttnn.scores.experts",
    "draw_figure": "tttnn.figures.draw",
    "published_tables": "tttnn.published.tables",
    "paper_figures": "tttnn.figures.paper",
    "compare_published": "tttnn.published.compare",
    "compare_follow_ups": "tttnn.published.follow_ups",
    "draw_side_by_side": "tttnn.figures.paper_compare",
    "write_report": "tttnn.report.write",
}


def with_signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """Snakemake asks for it several times a job; kept, that is a tenth of a long plan's time.

    Its parameters stand where `snakemake.common.overwrite_function_params` puts them, too; jobs'
    environments need no Snakemake.
    """
    kept = signature(function)
    function.__signature__ = kept  # type: ignore[attr-defined]
    function._overwrite_params = kept.parameters  # type: ignore[attr-defined]
    return function


def picked(table: Mapping[str, Any], *names: str) -> Callable[[Any], Any]:
    """A function of wildcards: what a table has for one of them, or for one and then another.

    As Snakemake's `lookup` does, which walks through a whole table and all that is in it, for
    every job.
    """

    def pick(wildcards: Any) -> Any:
        return reduce(lambda found, name: found[getattr(wildcards, name)], names, table)

    return with_signature(pick)


COUNTED = ("evaluate_at", "num_neighbors")

Kind = Callable[[Config, Any], str]
KINDS: dict[str, Kind] = {
    "download_shard": lambda config, job: engine(SOURCES, config.source.kind),
    "pool_candidates": lambda config, job: engine(POOLS, config.pools[job.pool].kind),
    **dict.fromkeys(
        ("choose_neighbors", "choose_windows"),
        lambda config, job: engine(SELECTIONS, config.selections[job.selection].kind),
    ),
    **dict.fromkeys(
        ("evaluate_part", "evaluate_tuned", "evaluate_experts"),
        lambda config, job: engine(METHODS, config.methods[job.method].kind),
    ),
    "draw_figure": lambda config, job: f"tttnn.figures.{FIGURES[job.figure].module}",
    **dict.fromkeys(
        (
            "train_shard_index",
            "merge_training",
            "fill_shard_index",
            "merge_index",
            "search_shard",
            "measure_recall",
        ),
        lambda config, job: engine(INDEXES, config.indexes[job.index].kind),
    ),
}
"""The module that a stage loads by name: of the kind that its job, by the wildcards, is of."""


class Codes:
    """The `code` params: fingerprints of what the stages run."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __call__(self, stage: str) -> str | Callable[[Any], str]:
        """A string; of a stage with kinds a function of Snakemake's wildcards.

        Such a stage's param covers the module of its own kind, and of no other.
        """
        fingerprint = of_package()
        if stage not in KINDS:
            return fingerprint(MODULES[stage])

        def param(wildcards: Any) -> str:
            kind = KINDS[stage](self._config, wildcards)
            return f"{fingerprint(MODULES[stage])},{fingerprint(kind)}"

        return with_signature(param)


class Specs:
    """The `spec` params: for each stage, the canonical JSON of exactly what it reads.

    Methods take Snakemake's wildcards, whether or not the stage's spec depends on them. `afforded`
    is what `select.hours` led to; `config` has the draw.
    """

    def __init__(self, config: Config, afforded: Afforded | None = None) -> None:
        self._config, self._afforded = config, afforded
        self._evaluation = cache(self._make_evaluation)  # thousands of jobs share some dozens
        self._embed = canonical(config.embed)
        for name in [name for name in vars(Specs) if not name.startswith("_")]:
            setattr(self, name, with_signature(partial(getattr(self, name))))

    def download_shard(self, wildcards: Any) -> str:
        corpus = self._config.corpus
        # what concerns other shards must not fetch this one again
        source = self._config.source.for_shard(wildcards.shard)
        return canonical(
            {
                "source": source,
                "shards": corpus.shards if source.COUNTS_SHARDS else 1,
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
        return self._embed

    def adopt_embeddings(self, wildcards: Any) -> str:
        # where the files are is an input
        adopted = self._config.embeddings.model_dump(mode="json", exclude={"published"})
        return canonical({"embed": self._config.embed, **adopted})

    def index(self, wildcards: Any) -> str:
        return canonical({"index": self._config.indexes[wildcards.index].built()})

    def select_documents(self, wildcards: Any) -> str:
        return self._select(self._config.validation if wildcards.queries == "val" else None)

    def compare_published(self, wildcards: Any) -> str:
        return self._select()

    def _select(self, select: Select | None = None) -> str:
        """Of a draw, of the test documents where none is given: its own keys, and not the hours."""
        chosen = select or self._config.select
        return canonical(chosen.model_dump(mode="json", include=set(Select.model_fields)))

    def split_documents(self, wildcards: Any) -> str:
        # the tokenizer is an input
        return canonical({"tokens": self._config.split.tokens})

    def count_words(self, wildcards: Any) -> str:
        return canonical({"max_words": self._config.lexical[wildcards.lexical].max_words})

    def search_words(self, wildcards: Any) -> str:
        lexical = self._config.lexical[wildcards.lexical]
        scored = lexical.model_dump(mode="json", exclude={"embedder"})  # that is an input, later
        return canonical({"candidates": self._config.search.candidates, **scored})

    def merge_scored(self, wildcards: Any) -> str:
        return canonical({"candidates": self._config.search.candidates})

    def embed_windows(self, wildcards: Any) -> str:
        return canonical({"embed": self._config.embed, "most": self._config.windows.most})

    def search_windows(self, wildcards: Any) -> str:
        by = self._config.windowed[wildcards.windowed].by
        return canonical({"candidates": self._config.search.candidates, "by": by})

    def choose_windows(self, wildcards: Any) -> str:
        return canonical({"selection": self._config.selections[wildcards.selection]})

    def pool_candidates(self, wildcards: Any) -> str:
        return canonical({"pool": self._config.pools[wildcards.pool]})

    def cut_windows(self, wildcards: Any) -> str:
        return canonical(self._config.long.model_dump(mode="json", exclude={"tokenizer"}))

    def choose_neighbors(self, wildcards: Any) -> str:
        return canonical({"selection": self._config.selections[wildcards.selection]})

    def _searched(self, name: str) -> dict[str, Any]:
        """What those who search an index have to know of it."""
        index = self._config.indexes[name]
        built = {"kind": index.kind, "factory": index.factory, "share": index.share}
        return {**built, "asked": index.asked()}

    def search_shard(self, wildcards: Any) -> str:
        candidates = self._config.search.candidates
        return canonical({"candidates": candidates, **self._searched(wildcards.index)})

    def merge_candidates(self, wildcards: Any) -> str:
        return canonical({"candidates": self._config.search.candidates})

    def draw_random(self, wildcards: Any) -> str:
        seed = self._config.select.seed
        return canonical({"candidates": self._config.search.candidates, "seed": seed})

    def measure_recall(self, wildcards: Any) -> str:
        search = self._config.search
        at = [k for k in search.recall_at if k <= search.candidates]
        searched = self._searched(wildcards.index)
        return canonical({"queries": search.recall_queries, "at": at, **searched})

    def measure_distances(self, wildcards: Any) -> str:
        indexes = {name: self._config.indexes[name] for name in self._config.built_indexes}
        held = {name: {"share": i.share, "embedder": i.embedder} for name, i in indexes.items()}
        return canonical({"indexes": held})

    def want_texts(self, wildcards: Any) -> str:
        return canonical({"depth": self._config.gather.depth})

    def gather_neighbors(self, wildcards: Any) -> str:
        return canonical(self._config.gather)

    def evaluate_part(self, wildcards: Any) -> str:
        method, model = wildcards.method, wildcards.model
        return self._evaluation(model, method, len(self._config.parts(method, wildcards.task)))

    evaluate_windows = evaluate_part

    def validate_part(self, wildcards: Any) -> str:
        return self._evaluation(wildcards.model, wildcards.method, 1)

    def choose_settings(self, wildcards: Any) -> str:
        config, name = self._config, wildcards.method
        tune = config.tune[name]
        return canonical(
            merged(
                config.score,
                run=config.run,
                by=tune.by,
                tasks=config.scope(name)[1],
                points=[variant._asdict() for variant in config.variants(name)],
                num_neighbors=tune.num_neighbors,
            )
        )

    def evaluate_tuned(self, wildcards: Any) -> str:
        config, drawn = self._config, self._config.draws_on(wildcards.method)
        selections = {name: config.selections[name] for name in drawn if name in config.selections}
        evaluation = json.loads(self.evaluate_part(wildcards))
        for key in config.tune[wildcards.method].chooses:  # whatever it is, another one is used
            if key in evaluation["recipe"] and key != "num_neighbors":
                evaluation["recipe"][key] = None
        return canonical(
            {
                "evaluation": evaluation,
                "candidates": drawn,
                "stops": [name for name, one in selections.items() if one.stop is not None],
            }
        )

    def _make_evaluation(self, model: str, method: str, parts: int) -> str:
        chosen = self._config.methods[method]
        selection = self._config.selections.get(chosen.candidates or "")
        rates = GPU if self._config.environment == "gpu" else CPU
        # with numbers in the place of the plan's rates, so that these decide about a rerun
        filled = with_rates(chosen, selection is not None, rates)
        recipe = filled.model_dump(mode="json", exclude=set(Placement.model_fields))
        if "learning_rate" in recipe and recipe["learning_rate"] is None:
            recipe["learning_rate"] = self._config.models[model].adapt_learning_rate
        return canonical(
            {
                "recipe": recipe,
                "parts": parts,
                "max_overlap": chosen.max_overlap,
                "stops": selection is not None and selection.stop is not None,
            }
        )

    def cluster_passages(self, wildcards: Any) -> str:
        experts = self._config.experts[wildcards.experts]
        return canonical(experts.model_dump(mode="json", include=set(Clustering.model_fields)))

    def train_expert(self, wildcards: Any) -> str:
        experts = self._config.experts[wildcards.experts]
        return canonical(experts.model_dump(mode="json", include=set(Training.model_fields)))

    def evaluate_experts(self, wildcards: Any) -> str:
        then = self._config.merging[wildcards.method].then
        trained_by = {}
        if then is not None:
            trained_by = json.loads(self._evaluation(wildcards.model, then, 1))["recipe"]
            # of neighbours there are as many as the method that merges says
            trained_by = {n: v for n, v in trained_by.items() if n not in COUNTED}
        own = json.loads(self.evaluate_part(wildcards))
        return canonical(own | {"trained_by": trained_by or None})

    def weigh_experts(self, wildcards: Any) -> str:
        config = self._config
        merging = [name for name in config.merging if name in config.evaluated]
        return canonical(
            {
                "run": config.run,
                "experts": {name: config.merging[name].experts for name in merging},
                "counts": {
                    name: "experts" if config.merging[name].then is None else "neighbours"
                    for name in merging
                },
                "against": {name: config.weighed_against(name) for name in merging},
            }
        )

    def score(self, wildcards: Any) -> str:
        config = self._config
        methods = {name: config.methods[name] for name in config.evaluated}
        candidates = [method.candidates for method in methods.values() if method.candidates]
        cells = [(*cell, len(config.parts(*cell[1:]))) for cell in config.cells()]
        return canonical(
            merged(
                config.score,
                run=config.run,
                candidates={name: method.candidates for name, method in methods.items()},
                searched={name: config.found_by(name) for name in candidates},
                selections=[n for n in dict.fromkeys(candidates) if n in config.selections],
                cells=cells,
                mixtures={
                    name: mixture.chooses_on_test for name, mixture in config.mixtures.items()
                },
                budgets={
                    name: method.time_budget.seconds
                    for name, method in methods.items()
                    if method.time_budget is not None
                },
                halves=[name for name in methods if config.queries(name) == "halves"],
                windows=[name for name in methods if config.by_windows(name)],
            )
        )

    def list_hours(self, wildcards: Any) -> str:
        return canonical({"run": self._config.run, "afforded": self._afforded})

    def score_windows(self, wildcards: Any) -> str:
        config = self._config
        cells = [(*cell, len(config.parts(*cell[1:]))) for cell in config.window_cells]
        return canonical(merged(config.score, run=config.run, cells=cells))

    def draw_figure(self, wildcards: Any) -> str:
        name = wildcards.figure
        return canonical({"name": name, "module": FIGURES[name].module})

    def write_report(self, wildcards: Any) -> str:
        config = self._config
        models = dict.fromkeys([*(model for model, _, _ in config.cells()), *config.embedders])
        return canonical(
            {
                "run": config.run,
                "figures": [(name, caption(config, name)) for name in drawn(config)],
                "left_out": [name for name, one in FIGURES.items() if not one.fits(config)],
                "models": list(models),
                "source": config.corpus.source,
            }
        )
