"""What the sections of a configuration have to agree on. Every check raises `ValueError`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from tttnn.config.figures import FIGURES
from tttnn.config.tuning import check_numbers
from tttnn.methods.ttt.settings import Recipe
from tttnn.pile import SPLITS, TASKS
from tttnn.sections.base import nearest
from tttnn.sections.representing import Representing
from tttnn.sections.search import RANDOM

if TYPE_CHECKING:
    from tttnn.config.root import Config
    from tttnn.sections.evaluate import Ablations, Evaluate


def check(config: Config) -> None:
    """Names stand for entries, and numbers that limit one another are in order."""
    _check_corpus(config)
    _check_catalogues(config)
    _check_evaluation(config)
    for name in config.chosen:
        _check_candidates(config, name)
        _check_training(config, name)
        if name in config.merging:
            _check_merging(config, name)
    _check_embedders(config)
    _check_representations(config)
    _check_depths(config)


def _known(names: Iterable[str], catalogue: Collection[str], where: str) -> None:
    for name in names:
        if name not in catalogue:
            raise ValueError(f"{where}: {name!r} is not known.{nearest(name, catalogue)}")


def _models(config: Config, names: Iterable[str], objective: str, where: str) -> None:
    """These models exist, and are not trained for something else."""
    _known(names, config.models, where)
    for name in names:
        model = config.models[name]
        if model.trained_as not in (None, objective):
            raise ValueError(
                f"{where}: {name!r} is trained with objective {model.trained_as}, but {objective} "
                "is needed here"
            )


def _check_corpus(config: Config) -> None:
    _known([config.corpus.source], config.sources, "corpus.source")
    if unnamed := config.source.unnamed([*config.shards, *SPLITS]):
        raise ValueError(
            f"sources.{config.corpus.source}.files: {unnamed[0]!r} has no file (of {len(unnamed)} "
            "shards): name it, or lower corpus.shards"
        )
    if config.chunk.unit == "window":
        if config.chunk.tokenizer is None:
            raise ValueError(
                "chunk.tokenizer: unit: window needs the model whose tokens are counted."
                + nearest("", config.models)
            )
        _known([config.chunk.tokenizer], config.models, "chunk.tokenizer")
        if config.chunk.window_tokens > config.embed.max_tokens - 2:
            raise ValueError(
                f"chunk.window_tokens ({config.chunk.window_tokens}) and two special tokens are "
                f"above embed.max_tokens ({config.embed.max_tokens}): a window's end would not be "
                "embedded"
            )


def _check_catalogues(config: Config) -> None:
    searches = [*config.indexes, *config.lexical, *config.windowed]
    names = [RANDOM, *searches, *config.pools, *config.selections]
    if taken := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"{taken[0]!r} is taken: an index, an entry of lexical or windowed, a pool, a "
            f"selection and {RANDOM!r}, the control, need different names"
        )
    for name, pool in config.pools.items():
        _known(pool.sources, searches, f"pools.{name}.of")
    for name, selection in config.selections.items():
        _known([selection.index], [*searches, *config.pools], f"selections.{name}.index")
    for name, method in config.merging.items():
        _known([method.experts], config.experts, f"methods.{name}.experts")
    _known(config.search.indexes, config.indexes, "search.indexes")
    for name, members in config.sets.items():
        if name in config.methods:
            raise ValueError(f"sets.{name}: a method has that name; choose another")
        _known(members, config.methods, f"sets.{name}")
    if config.figures != "all":
        _known(config.figures, FIGURES, "figures")


def _check_evaluation(config: Config) -> None:
    _check_choice(config, config.evaluate, "evaluate")
    if config.evaluate.ablations is not None:
        _check_choice(config, config.evaluate.ablations, "evaluate.ablations")


def _check_choice(config: Config, choice: Evaluate | Ablations, where: str) -> None:
    _models(config, choice.models, "causal", f"{where}.models")
    _known(choice.methods, [*config.methods, *config.sets], f"{where}.methods")
    if choice.tasks != "all":
        _known(choice.tasks, TASKS, f"{where}.tasks")
    _check_parts(choice.parts, where)


def _check_parts(parts: dict[str, int], where: str) -> None:
    _known(parts, ["default", *TASKS], f"{where}.parts")
    if "default" not in parts:
        raise ValueError(f"{where}.parts needs a default")


def _check_candidates(config: Config, name: str) -> None:
    """A method has as many neighbours as it uses, from what exists."""
    method, where = config.methods[name], f"methods.{name}"
    if (method.candidates is None) == method.uses_neighbors:
        raise ValueError(
            f"{where}.candidates: "
            + (
                "give an index, random or one of lexical, windowed, pools or selections"
                if method.uses_neighbors
                else "must be null, for the method uses no neighbours"
            )
        )
    if method.candidates is None:
        return
    known = [RANDOM, *config.searches, *config.pools, *config.selections]
    _known([method.candidates], known, f"{where}.candidates")
    if method.candidates in config.selections:
        picks = config.selections[method.candidates].picks
        chosen_by = f"selections.{method.candidates}.picks"
        if picks < method.num_neighbors:
            raise ValueError(
                f"{where}.num_neighbors ({method.num_neighbors}) is above {chosen_by} ({picks}): "
                "raise picks"
            )
        if picks > config.search.candidates:
            raise ValueError(
                f"{chosen_by} ({picks}) is above search.candidates ({config.search.candidates}): "
                "raise search.candidates"
            )
    if method.num_neighbors > config.gather.depth:
        raise ValueError(
            f"{where}.num_neighbors ({method.num_neighbors}) is above gather.depth "
            f"({config.gather.depth}): raise gather.depth"
        )


def _check_training(config: Config, name: str) -> None:
    """A method runs on what is evaluated, and training has a learning rate for each model."""
    method, where = config.methods[name], f"methods.{name}"
    _known(method.models or [], config.evaluate.models, f"{where}.models")
    _known(method.tasks or [], config.tasks, f"{where}.tasks")
    if method.parts is not None:
        _check_parts(method.parts, where)
    models, tasks = config.scope(name)
    if method.depends_on_order and any(len(config.parts(name, task)) > 1 for task in tasks):
        raise ValueError(
            f"{where}.{method.depends_on_order} carries its state from document to document, so "
            f"its results depend on evaluate.parts: set {where}.parts: {{default: 1}}"
        )
    has_own = name in config.tune and config.tune[name].learning_rate is not None
    if name in config.tune:
        check_numbers(f"{where}.tune", config.tune[name], method)
    for model in models if method.asks_for_learning_rate and not has_own else ():
        if config.models[model].adapt_learning_rate is None:
            raise ValueError(
                f"{where}: no learning rate for {model}: set {where}.learning_rate or "
                f"models.{model}.adapt_learning_rate"
            )


def _check_merging(config: Config, name: str) -> None:
    """A method has the experts that it merges, and what trains the merge is of kind ttt."""
    method, where = config.merging[name], f"methods.{name}"
    experts = config.experts[method.experts]
    _models(config, [experts.embedder], "masked", f"experts.{method.experts}.embedder")
    if method.then is None:
        if method.evaluate_at[-1] > experts.clusters:
            raise ValueError(
                f"{where}.evaluate_at asks for {method.evaluate_at[-1]} experts, and "
                f"experts.{method.experts}.clusters is {experts.clusters}: raise clusters or "
                "shorten evaluate_at"
            )
        return
    _known([method.then], config.methods, f"{where}.then")
    then = config.methods[method.then]
    if (
        not isinstance(then, Recipe)
        or then.train_on != "neighbors"
        or then.step == "batch"
        or then.depends_on_order
        or then.time_budget
    ):
        raise ValueError(
            f"{where}.then: {method.then!r} must be of kind ttt, train on neighbours one after "
            "the other, and carry nothing from document to document, without a budget"
        )
    for model in config.scope(name)[0]:
        if then.asks_for_learning_rate and config.models[model].adapt_learning_rate is None:
            raise ValueError(
                f"{where}.then: no learning rate for {model}: set methods.{method.then}."
                f"learning_rate or models.{model}.adapt_learning_rate"
            )


def _check_embedders(config: Config) -> None:
    for name in config.built_indexes:
        _models(config, [config.indexes[name].embedder], "masked", f"indexes.{name}.embedder")
    for where, catalogue in (("lexical", config.lexical), ("windowed", config.windowed)):
        for name, search in catalogue.items():
            _models(config, [search.embedder], "masked", f"{where}.{name}.embedder")
    _models(config, config.embeddings.published, "masked", "embeddings.published")
    if config.embeddings.published and config.chunk.unit != "document":
        raise ValueError(
            f"chunk.unit: {config.chunk.unit}: a vector of embeddings.published is that of a whole "
            "document: set chunk.unit: document, or leave embeddings.published empty"
        )
    if config.splits:
        _models(config, [config.split.tokenizer], "causal", "split.tokenizer")
    if config.window_cells:
        _models(config, [config.long.tokenizer], "causal", "long.tokenizer")


def _check_representations(config: Config) -> None:
    """How vectors are made is said of embedders only, for elsewhere it would do nothing."""
    embedders = {*config.embedded_by.values(), *config.embeddings.published}
    embedders |= {experts.embedder for experts in config.experts.values()}
    ablations = config.evaluate.ablations
    for name in [*config.evaluate.models, *(ablations.models if ablations else [])]:
        model = config.models[name]
        if isinstance(model, Representing) and name not in embedders and (given := model.given()):
            raise ValueError(
                f"models.{name}.{next(iter(given))}: is of embedders, and {name} is evaluated and "
                "embeds nothing: set it to null"
            )


def _check_depths(config: Config) -> None:
    if min(config.search.recall_at) > config.search.candidates:
        raise ValueError(
            f"search.recall_at {config.search.recall_at} has nothing within search.candidates "
            f"({config.search.candidates}): recall is measured on the candidates kept"
        )
    if config.gather.depth > config.search.candidates:
        raise ValueError(
            f"gather.depth ({config.gather.depth}) is above search.candidates "
            f"({config.search.candidates}): raise search.candidates"
        )
