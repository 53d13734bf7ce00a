"""The whole configuration, and its one entry point: `load`."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import ValidationError, field_validator, model_validator

from tttnn.config.base import Names, Section, nearest
from tttnn.config.corpus import Corpus, HuggingFaceSource, Source
from tttnn.config.index import RANDOM, Embed, Gather, Index, Search
from tttnn.config.methods import Evaluate, Method, Score
from tttnn.config.models import Model, TrainedModel
from tttnn.config.texts import Chunk, Select
from tttnn.pile import SPLITS, TASKS

FIGURES = ("before_after", "curves", "models", "control", "clean", "cost", "recall")
"""Those of `tttnn.figures.draw`, which takes long to import."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the key and the remedy."""


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
    gather: Gather
    select: Select
    methods: dict[str, Method]
    evaluate: Evaluate
    score: Score
    figures: Names

    @field_validator("run")
    @classmethod
    def _names_a_folder(cls, run: str) -> str:
        if not NAME.fullmatch(run):
            raise ValueError(f"run {run!r} names a folder: use letters, digits, '.', '_', '-'")
        return run

    @field_validator("sources", "models", "indexes", "methods")
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
        if RANDOM in self.indexes:
            raise ValueError(f"indexes: {RANDOM!r} is taken by the random-neighbour control")
        for name in self.search.indexes:
            _choose(name, self.indexes, "search.indexes")
            embedder = self.indexes[name].embedder
            _choose(embedder, self.models, f"indexes.{name}.embedder")
            self._objective(embedder, "masked", f"indexes.{name}.embedder")
        for name in self.evaluate.models:
            _choose(name, self.models, "evaluate.models")
            self._objective(name, "causal", "evaluate.models")
        for task in self.tasks:
            _choose(task, TASKS, "evaluate.tasks")
        for task, parts in self.evaluate.parts.items():
            _choose(task, ["default", *TASKS], "evaluate.parts")
            if parts < 1:
                raise ValueError(f"evaluate.parts.{task} is {parts}: at least 1")
        if "default" not in self.evaluate.parts:
            raise ValueError("evaluate.parts needs a default")
        for name in self.figures:
            _choose(name, FIGURES, "figures")
        for name in self.evaluate.methods:
            _choose(name, self.methods, "evaluate.methods")
            method = self.methods[name]
            where = f"methods.{name}"
            _choose(method.candidates, [RANDOM, *self.search.indexes], f"{where}.candidates")
            for model in method.models or []:
                _choose(model, self.evaluate.models, f"{where}.models")
            for task in method.tasks or []:
                _choose(task, self.tasks, f"{where}.tasks")
            if method.as_released and max(self.evaluate.parts.values()) > 1:
                raise ValueError(
                    f"{where}.as_released carries the optimiser from document to document, so its "
                    "results depend on evaluate.parts: set every one of them to 1"
                )
            if method.num_neighbors > self.gather.depth:
                raise ValueError(
                    f"{where}.num_neighbors ({method.num_neighbors}) is above gather.depth "
                    f"({self.gather.depth}): raise gather.depth"
                )
            for model in method.models or self.evaluate.models:
                if method.learning_rate is None and self.models[model].adapt_learning_rate is None:
                    raise ValueError(
                        f"{where}: no learning rate for {model}: set {where}.learning_rate or "
                        f"models.{model}.adapt_learning_rate"
                    )
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
        """The models that the chosen indexes embed with."""
        return list(dict.fromkeys(self.indexes[name].embedder for name in self.search.indexes))

    def parts(self, task: str) -> list[str]:
        """Names of the jobs a task's documents are dealt to."""
        count = self.evaluate.parts.get(task, self.evaluate.parts["default"])
        return [str(part) for part in range(count)]

    def cells(self) -> list[tuple[str, str, str]]:
        """Every evaluated (model, method, task)."""
        return [
            (model, name, task)
            for name in self.evaluate.methods
            for model in self.methods[name].models or self.evaluate.models
            for task in self.methods[name].tasks or self.tasks
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


def _key(values: Any, fault: Any) -> str:
    """The key a fault is at, as it stands in the file: without the kinds that Pydantic adds."""
    path = []
    for part in fault["loc"]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    if fault["type"] == "missing":
        path.append(fault["loc"][-1])
    return ".".join(map(str, path))


def load(values: dict[str, Any]) -> Config:
    """Check a merged configuration.

    Raises `ConfigError`: one line for each fault, with the key's full path.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = []
        for fault in error.errors(include_url=False):
            path = _key(values, fault)
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"  {path + ': ' if path else ''}{message}")
        raise ConfigError("the configuration cannot be used:\n" + "\n".join(lines)) from None
