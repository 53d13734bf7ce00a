"""The whole configuration: its sections, and what they have to agree on."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Literal

from pydantic import field_validator, model_validator

from tttnn.config.agreement import check
from tttnn.config.catalogue import (
    AnyIndex,
    AnyMethod,
    AnyModel,
    AnyPool,
    AnySelection,
    AnySource,
    keys,
)
from tttnn.config.inherit import inherited
from tttnn.config.tuning import Variant, add_variants, taken_off, variants
from tttnn.methods.experts.settings import Merging
from tttnn.methods.windows.settings import WindowRecipe
from tttnn.pile import TASKS
from tttnn.sections.base import Names, Section
from tttnn.sections.chunk import Chunk
from tttnn.sections.corpus import Corpus
from tttnn.sections.embed import Embed
from tttnn.sections.embeddings import Embeddings
from tttnn.sections.evaluate import Ablations, Evaluate
from tttnn.sections.experts import Experts
from tttnn.sections.gather import Gather
from tttnn.sections.hours import Draw
from tttnn.sections.index import Index
from tttnn.sections.lexical import Lexical
from tttnn.sections.long import Long
from tttnn.sections.memory import MemoryMb
from tttnn.sections.mixture import Mixture
from tttnn.sections.score import Score
from tttnn.sections.search import RANDOM, Search
from tttnn.sections.select import Select
from tttnn.sections.source import Source
from tttnn.sections.split import Split
from tttnn.sections.tune import Tune
from tttnn.sections.windows import ByWindows, Windowed, Windows

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
PUBLISHED = "published"  # results/published is made by rules/paper.smk
LONGEST = 100  # characters; file systems allow 255 (encrypted ones 143), ours and others' marks too
REPEATS = 20
INHERITING = (
    *("models", "indexes", "lexical", "windowed", "pools", "selections", "experts"),
    "methods",
)
"""Catalogues whose entries may be `like` one another."""
PERIODIC = re.compile(rf"(.+?)\1{{{REPEATS - 1},}}$")
"""Snakemake takes a name that ends so for a rule that runs into itself, whatever its constraints
say (`PeriodicityDetector`)."""


def _check_name(name: str, use: str) -> None:
    """Raise `ValueError` for a name that cannot be part of a path that Snakemake matches."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} names {use}: use letters, digits, '.', '_', '-'")
    if len(name) > LONGEST:
        raise ValueError(f"{name!r} names {use}: use at most {LONGEST} characters")
    if match := PERIODIC.search(name):
        raise ValueError(
            f"{name!r} ends in {match[1]!r} {REPEATS} times or more, which Snakemake refuses: "
            "choose another name"
        )


class Config(Section):
    """`config.yaml`, overlays and `--config`, merged and checked."""

    run: str
    environment: Literal["cpu", "gpu"] = "cpu"
    image: str | None = None  # of --sdm apptainer; None: envs/<environment>.sif
    memory_mb: MemoryMb = 4000  # of a job, from embeddings to neighbours
    corpus: Corpus
    sources: dict[str, AnySource]
    chunk: Chunk
    models: dict[str, AnyModel]
    embed: Embed
    embeddings: Embeddings = Embeddings()
    indexes: dict[str, AnyIndex]
    lexical: dict[str, Lexical] = {}
    windows: Windows
    windowed: dict[str, Windowed] = {}
    search: Search
    pools: dict[str, AnyPool] = {}
    selections: dict[str, AnySelection] = {}
    gather: Gather
    select: Draw
    validation: Select
    split: Split
    long: Long
    experts: dict[str, Experts] = {}
    methods: dict[str, AnyMethod]
    tune: dict[str, Tune] = {}  # by method: what its entry says under this key
    sets: dict[str, Names] = {}
    evaluate: Evaluate
    score: Score
    figures: Names | Literal["all"] = "all"

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        if isinstance(values, dict):
            values = dict(values)
            for catalogue in INHERITING:
                if isinstance(values.get(catalogue), dict):
                    values[catalogue] = inherited(
                        values[catalogue], catalogue, partial(keys, catalogue)
                    )
            if isinstance(values.get("methods"), dict):
                values["methods"], tunes = taken_off(values["methods"])
                if isinstance(values.setdefault("tune", {}), dict):
                    values["tune"] = values["tune"] | tunes
        return values

    @field_validator("run", mode="before")
    @classmethod
    def _names_a_folder(cls, run: Any) -> str:
        if not isinstance(run, str):
            raise ValueError(f"{run!r} is not read as a name: use one with a letter")
        if run == PUBLISHED:
            raise ValueError(f"{run!r} is the folder of the paper's numbers: choose another name")
        _check_name(run, "a folder")
        return run

    @field_validator("sources", *INHERITING)
    @classmethod
    def _names_stand_in_paths(cls, catalogue: dict[str, Any]) -> dict[str, Any]:
        for name in catalogue:
            _check_name(name, "a file")
        return catalogue

    @model_validator(mode="after")
    def _has_variants(self) -> Config:
        """Catalogues are mappings, which may grow: see `tttnn.config.tuning`."""
        add_variants(self.methods, self.selections, self.tune)
        for name in [*self.methods, *self.selections]:
            _check_name(name, "a file")
        return self

    @model_validator(mode="after")
    def _agrees(self) -> Config:
        check(self)
        return self

    @property
    def source(self) -> Source:
        """The chosen source of the corpus."""
        return self.sources[self.corpus.source]

    @property
    def shards(self) -> list[str]:
        """The train shards."""
        return self.corpus.train_shards

    @property
    def tasks(self) -> list[str]:
        """The evaluated tasks."""
        return list(TASKS) if self.evaluate.tasks == "all" else list(self.evaluate.tasks)

    @property
    def embedders(self) -> list[str]:
        """The models that the built indexes embed with."""
        return list(dict.fromkeys(self.indexes[name].embedder for name in self.built_indexes))

    def embedder_pattern(self, *, published: bool) -> str:
        """A regular expression for the embedders whose vectors are at hand, or for the others."""
        names = [*self.embedded_by.values()]
        names += [experts.embedder for experts in self.experts.values()]
        chosen = [name for name in names if (name in self.embeddings.published) == published]
        return "|".join(map(re.escape, dict.fromkeys(chosen))) or "(?!)"

    @property
    def evaluated(self) -> list[str]:
        """The evaluated methods."""
        return [name for name in self.chosen if all(self.scope(name))]

    @property
    def chosen(self) -> list[str]:
        """The methods that are asked for: sets are their members."""
        more = self.evaluate.ablations.methods if self.evaluate.ablations else []
        members = (self.sets.get(name, [name]) for name in [*self.evaluate.methods, *more])
        return list(dict.fromkeys(name for some in members for name in some))

    def _choice(self, name: str) -> Evaluate | Ablations:
        """The section that a method is evaluated by, or would be."""
        main = (name in self.sets.get(chosen, [chosen]) for chosen in self.evaluate.methods)
        return self.evaluate if any(main) else self.evaluate.ablations or self.evaluate

    def scope(self, name: str) -> tuple[list[str], list[str]]:
        """The models and tasks that a method is evaluated on: those of `evaluate`, or fewer."""
        method, choice = self.methods[name], self._choice(name)
        tasks = self.tasks if choice.tasks == "all" else choice.tasks
        models = [m for m in method.models or choice.models if m in self.evaluate.models]
        return models, [task for task in method.tasks or tasks if task in self.tasks]

    @property
    def built_indexes(self) -> list[str]:
        """The indexes of `search.indexes`, then others that evaluated methods draw on."""
        wanted = (self.methods[name].candidates for name in self.evaluated)
        used = [source for name in wanted if name is not None for source in self.found_by(name)]
        return list(dict.fromkeys([*self.search.indexes, *(n for n in used if n in self.indexes)]))

    def found_by(self, candidates: str) -> list[str]:
        """The searches that candidates of this name come from (`searches`).

        None for those that are drawn at random.
        """
        if candidates in self.selections:
            return self.found_by(self.selections[candidates].index)
        if candidates in self.pools:
            return self.pools[candidates].sources
        return [] if candidates == RANDOM else [candidates]

    @property
    def searches(self) -> dict[str, Index | Lexical | Windowed]:
        """What passages are found by."""
        return {**self.indexes, **self.lexical, **self.windowed}

    def selections_by_windows(self, *, chosen: bool) -> str:
        """A regular expression for the selections by a document's windows, or for the others."""
        kinds = self.selections.items()
        names = [name for name, each in kinds if isinstance(each, ByWindows) == chosen]
        return "|".join(map(re.escape, names)) or "(?!)"

    @property
    def embedded_by(self) -> dict[str, str]:
        """By name of searches, pools and selections, the model whose distances candidates have."""
        searches = {name: each.embedder for name, each in self.searches.items()}
        others = [*self.pools, *self.selections]
        return searches | {name: searches[self.found_by(name)[0]] for name in others}

    @property
    def learning_indexes(self) -> str:
        """A regular expression for the names of the indexes that have files of their own."""
        names = [re.escape(name) for name, index in self.indexes.items() if index.LEARNS]
        return "|".join(names) or "(?!)"

    @property
    def draws_random(self) -> bool:
        """Whether test documents have random neighbours."""
        return any(
            self.methods[name].candidates == RANDOM and self.queries(name) == "test"
            for name in self.evaluated
        )

    def queries(self, method: str) -> str:
        """The texts that find a method's neighbours.

        Of `test`; their first `halves`; or of their windows each itself, `target`, or its `past`.
        """
        chosen = self.methods[method]
        if isinstance(chosen, WindowRecipe) and chosen.searches_each:
            return chosen.query
        return "halves" if chosen.evaluates_halves else "test"

    def by_windows(self, method: str) -> bool:
        """Whether a method's documents are evaluated window by window."""
        return isinstance(self.methods[method], WindowRecipe)

    def evaluated_by(self, method: str) -> str:
        """The stage that evaluates a method's documents."""
        if self.by_windows(method):
            return "evaluate_windows"
        if method in self.merging:
            return "evaluate_experts"
        return "evaluate_tuned" if method in self.tune else "evaluate_part"

    def method_pattern(self, stage: str) -> str:
        """A regular expression for the methods that a stage evaluates."""
        names = [re.escape(name) for name in self.methods if self.evaluated_by(name) == stage]
        return "|".join(names) or "(?!)"

    @property
    def window_cells(self) -> list[tuple[str, str, str]]:
        """Every (model, method, task) that is evaluated window by window."""
        return [cell for cell in self.cells() if self.by_windows(cell[1])]

    def validation_queries(self, method: str) -> str:
        """The same of validation documents: of `val`, or their first halves."""
        return "val_halves" if self.methods[method].evaluates_halves else "val"

    @property
    def splits(self) -> bool:
        """Whether a method is evaluated on the second halves of documents."""
        return any(self.queries(name) == "halves" for name in self.evaluated)

    @property
    def tuned(self) -> list[str]:
        """The evaluated methods with settings that are chosen on validation documents."""
        return [name for name in self.evaluated if name in self.tune]

    def variants(self, name: str) -> list[Variant]:
        """The methods, of the catalogue, that one of those is chosen among."""
        return variants(name, self.tune[name], self.methods[name], self.selections)

    def draws_on(self, name: str) -> list[str]:
        """Whose neighbours a method uses: candidates; of one that is tuned, all that it may."""
        named = [v.candidates for v in self.variants(name)] if name in self.tune else None
        candidates = named or [self.methods[name].candidates]
        return list(dict.fromkeys(one for one in candidates if one is not None))

    @property
    def mixtures(self) -> dict[str, Mixture]:
        """The evaluated methods with a share alpha, which is chosen on validation documents."""
        methods = {name: self.methods[name] for name in self.evaluated}
        return {name: method for name, method in methods.items() if isinstance(method, Mixture)}

    @property
    def merging(self) -> dict[str, Merging]:
        """The methods that merge experts, evaluated or not."""
        return {name: m for name, m in self.methods.items() if isinstance(m, Merging)}

    def weighed_against(self, merging: str) -> list[str]:
        """The methods of `evaluate.methods` that only train, of the same text as one that merges.

        None where that one is not evaluated itself.
        """
        return [
            name
            for name in self.evaluated
            if merging in self.evaluated
            and self.queries(name) == self.queries(merging)
            and self._choice(name) is self.evaluate
            and self.methods[name].trains
            and name not in self.merging
        ]

    def parts(self, method: str, task: str) -> list[str]:
        """Names of the jobs that a method's documents of a task are dealt to."""
        parts = self.methods[method].parts or self._choice(method).parts
        return [str(part) for part in range(parts.get(task, parts["default"]))]

    def cells(self) -> list[tuple[str, str, str]]:
        """Every evaluated (model, method, task)."""
        return [
            (model, name, task)
            for name in self.evaluated
            for models, tasks in [self.scope(name)]
            for model in models
            for task in tasks
        ]

    def model_pattern(self, kind: str) -> str:
        """A regular expression for the names of `fetched`, `causal` or `masked` models."""
        names = [
            re.escape(name)
            for name, model in self.models.items()
            if (model.trained_as or "fetched") == kind
        ]
        return "|".join(names) or "(?!)"

    @property
    def chunk_tokenizer(self) -> list[str]:
        """The model whose tokens windows are counted in; none where a passage is a document."""
        tokenizer = self.chunk.tokenizer if self.chunk.unit == "window" else None
        return [] if tokenizer is None else [tokenizer]
