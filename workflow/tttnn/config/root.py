"""The whole configuration: its sections, and what they have to agree on."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import field_validator, model_validator

from tttnn.config.base import Names, Section, nearest
from tttnn.config.corpus import Corpus, HuggingFaceSource, Source
from tttnn.config.figures import FIGURES
from tttnn.config.index import RANDOM, Embed, Gather, Index, Search
from tttnn.config.inherit import inherited
from tttnn.config.methods import Ablations, Evaluate, Method, Mixture, Score
from tttnn.config.models import Model, TrainedModel
from tttnn.config.selections import Selection
from tttnn.config.texts import Chunk, Select, Split
from tttnn.pile import SPLITS, TASKS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _choose(name: str, catalogue: Any, where: str) -> None:
    if name not in catalogue:
        raise ValueError(f"{where}: {name!r} is not known.{nearest(name, catalogue)}")


class Config(Section):
    """`config.yaml`, overlays and `--config`, merged and checked."""

    run: str
    environment: Literal["cpu", "gpu"] = "cpu"
    corpus: Corpus
    sources: dict[str, Source]
    chunk: Chunk
    models: dict[str, Model]
    embed: Embed
    indexes: dict[str, Index]
    search: Search
    selections: dict[str, Selection] = {}
    gather: Gather
    select: Select
    validation: Select
    split: Split
    methods: dict[str, Method]
    sets: dict[str, Names] = {}
    evaluate: Evaluate
    score: Score
    figures: Names | Literal["all"] = "all"

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, values: Any) -> Any:
        if isinstance(values, dict):
            values = dict(values)
            for catalogue in ("models", "indexes", "selections", "methods"):
                if isinstance(values.get(catalogue), dict):
                    values[catalogue] = inherited(values[catalogue], catalogue)
        return values

    @field_validator("run")
    @classmethod
    def _names_a_folder(cls, run: str) -> str:
        if not NAME.fullmatch(run):
            raise ValueError(f"run {run!r} names a folder: use letters, digits, '.', '_', '-'")
        return run

    @field_validator("sources", "models", "indexes", "selections", "methods")
    @classmethod
    def _names_stand_in_paths(cls, catalogue: dict[str, Any]) -> dict[str, Any]:
        for name in catalogue:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} names a file: use letters, digits, '.', '_', '-'")
        return catalogue

    @model_validator(mode="after")
    def _selections_exist(self) -> Config:
        _choose(self.corpus.source, self.sources, "corpus.source")
        source = self.sources[self.corpus.source]
        if isinstance(source, HuggingFaceSource):
            for shard in [*self.corpus.train_shards, *SPLITS]:
                _choose(shard, source.files, f"sources.{self.corpus.source}.files")
        if self.chunk.unit == "window":
            _choose(str(self.chunk.tokenizer), self.models, "chunk.tokenizer")
            if self.chunk.window_tokens > self.embed.max_tokens - 2:
                raise ValueError(
                    f"chunk.window_tokens ({self.chunk.window_tokens}) and two special tokens are "
                    f"above embed.max_tokens ({self.embed.max_tokens}): a window's end would not "
                    "be embedded"
                )
        for name in [*self.indexes, *self.selections]:
            if name == RANDOM or (name in self.indexes and name in self.selections):
                raise ValueError(
                    f"{name!r} is taken: an index, a selection and {RANDOM!r}, the control, need "
                    "different names"
                )
        for name, selection in self.selections.items():
            _choose(selection.index, self.indexes, f"selections.{name}.index")
        for name in self.search.indexes:
            _choose(name, self.indexes, "search.indexes")
        for name in self.evaluate.models:
            _choose(name, self.models, "evaluate.models")
            self._objective(name, "causal", "evaluate.models")
        for task in self.tasks:
            _choose(task, TASKS, "evaluate.tasks")
        for name in self.figures if self.figures != "all" else []:
            _choose(name, FIGURES, "figures")
        for name, members in self.sets.items():
            if name in self.methods:
                raise ValueError(f"sets.{name}: a method has that name; choose another")
            for member in members:
                _choose(member, self.methods, f"sets.{name}")
        self._check_choice(self.evaluate, "evaluate")
        if self.evaluate.ablations is not None:
            self._check_choice(self.evaluate.ablations, "evaluate.ablations")
            for name in self.evaluate.ablations.models:
                _choose(name, self.models, "evaluate.ablations.models")
                self._objective(name, "causal", "evaluate.ablations.models")
            if self.evaluate.ablations.tasks != "all":
                for task in self.evaluate.ablations.tasks:
                    _choose(task, TASKS, "evaluate.ablations.tasks")
        for name in self._chosen():
            self._check_method(name)
        for name in self.built_indexes:
            embedder = self.indexes[name].embedder
            _choose(embedder, self.models, f"indexes.{name}.embedder")
            self._objective(embedder, "masked", f"indexes.{name}.embedder")
        if self.splits:
            _choose(self.split.tokenizer, self.models, "split.tokenizer")
            self._objective(self.split.tokenizer, "causal", "split.tokenizer")
        if min(self.search.recall_at) > self.search.candidates:
            raise ValueError(
                f"search.recall_at {self.search.recall_at} has nothing within search.candidates "
                f"({self.search.candidates}): recall is measured on the candidates kept"
            )
        if self.gather.depth > self.search.candidates:
            raise ValueError(
                f"gather.depth ({self.gather.depth}) is above search.candidates "
                f"({self.search.candidates}): raise search.candidates"
            )
        return self

    def _check_choice(self, choice: Evaluate | Ablations, where: str) -> None:
        for name in choice.methods:
            _choose(name, [*self.methods, *self.sets], f"{where}.methods")
        for task, parts in choice.parts.items():
            _choose(task, ["default", *TASKS], f"{where}.parts")
            if parts < 1:
                raise ValueError(f"{where}.parts.{task} is {parts}: at least 1")
        if "default" not in choice.parts:
            raise ValueError(f"{where}.parts needs a default")

    def _check_method(self, name: str) -> None:
        method, where = self.methods[name], f"methods.{name}"
        if method.candidates is not None:
            known = [RANDOM, *self.indexes, *self.selections]
            _choose(method.candidates, known, f"{where}.candidates")
            selection = self.selections.get(method.candidates)
            if selection is not None and selection.picks < method.num_neighbors:
                raise ValueError(
                    f"{where}.num_neighbors ({method.num_neighbors}) is above "
                    f"selections.{method.candidates}.picks ({selection.picks}): raise picks"
                )
            if selection is not None and selection.picks > self.search.candidates:
                raise ValueError(
                    f"selections.{method.candidates}.picks ({selection.picks}) is above "
                    f"search.candidates ({self.search.candidates}): raise search.candidates"
                )
            if method.num_neighbors > self.gather.depth:
                raise ValueError(
                    f"{where}.num_neighbors ({method.num_neighbors}) is above gather.depth "
                    f"({self.gather.depth}): raise gather.depth"
                )
        for model in method.models or []:
            _choose(model, self.evaluate.models, f"{where}.models")
        for task in method.tasks or []:
            _choose(task, self.tasks, f"{where}.tasks")
        if method.kind != "ttt":
            return
        models, tasks = self.scope(name)
        if method.depends_on_order and any(len(self.parts(name, task)) > 1 for task in tasks):
            key = "as_released" if method.as_released else "accumulate"
            raise ValueError(
                f"{where}.{key} carries its state from document to document, so its "
                "results depend on evaluate.parts: set every one of them to 1"
            )
        for model in models:
            if method.learning_rate is None and self.models[model].adapt_learning_rate is None:
                raise ValueError(
                    f"{where}: no learning rate for {model}: set {where}.learning_rate or "
                    f"models.{model}.adapt_learning_rate"
                )

    def _objective(self, name: str, needed: str, where: str) -> None:
        model = self.models[name]
        if isinstance(model, TrainedModel) and model.objective != needed:
            raise ValueError(
                f"{where}: {name!r} is trained with objective {model.objective}, but {needed} is "
                "needed here"
            )

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

    @property
    def evaluated(self) -> list[str]:
        """The evaluated methods."""
        return [name for name in self._chosen() if all(self.scope(name))]

    def _chosen(self) -> list[str]:
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
        wanted = [self.methods[name].candidates for name in self.evaluated]
        used = [self.selections[n].index if n in self.selections else n for n in wanted]
        return list(dict.fromkeys([*self.search.indexes, *(n for n in used if n in self.indexes)]))

    @property
    def draws_random(self) -> bool:
        """Whether test documents have random neighbours."""
        return any(
            self.methods[name].candidates == RANDOM and self.queries(name) == "test"
            for name in self.evaluated
        )

    def queries(self, method: str) -> str:
        """The texts that find a method's neighbours: of `test`, or their first `halves`."""
        return "halves" if self.methods[method].evaluates_halves else "test"

    @property
    def splits(self) -> bool:
        """Whether a method is evaluated on the second halves of documents."""
        return any(self.queries(name) == "halves" for name in self.evaluated)

    @property
    def mixtures(self) -> list[str]:
        """The evaluated methods with a share alpha, which is chosen on validation documents."""
        return [name for name in self.evaluated if isinstance(self.methods[name], Mixture)]

    def parts(self, method: str, task: str) -> list[str]:
        """Names of the jobs that a method's documents of a task are dealt to."""
        parts = self._choice(method).parts
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
            if (model.objective if isinstance(model, TrainedModel) else "fetched") == kind
        ]
        return "|".join(names) or "(?!)"

    @property
    def chunk_tokenizer(self) -> list[str]:
        """The model whose tokens windows are counted in; none where a passage is a document."""
        return [self.chunk.tokenizer] if self.chunk.unit == "window" else []
