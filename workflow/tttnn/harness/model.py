"""The evaluation harness's model `tttnn`: any task, adapted to each text's nearest neighbours.

    python -m tttnn.harness run --model tttnn --tasks lambada_openai \\
        --model_args pretrained=gpt2,run=results/mine,method=ttt,neighbors=20

is the harness's own command line, with this model registered; versions of the harness that have
plugins find it by its entry point, `lm_eval --model tttnn`. `lm_eval` is an extra, `pip install
'.[harness]'`. `tttnn tasks` writes the Pile's tasks over the run's own test documents.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from tqdm import tqdm

from tttnn.adapting import LEARNING_RATE, adapted, recipe_for
from tttnn.live.query import Finder
from tttnn.live.shard import Run
from tttnn.methods.progress import SECONDS
from tttnn.methods.ttt.settings import Recipe
from tttnn.sections.base import nearest
from tttnn.sections.method import Placement


def _rate_of(run: Run, pretrained: Any) -> float | None:
    """The learning rate of a model of the run, by the name of its folder."""
    model = run.config.models.get(Path(pretrained).name) if isinstance(pretrained, str) else None
    return None if model is None else model.adapt_learning_rate


def recipe_of(run: Run, name: str, neighbors: int, learning_rate: float) -> Recipe:
    """A method of the run with so many neighbours; raises `ValueError` if it is of no use here.

    `learning_rate` is where the method has none of its own.
    """
    methods = run.config.methods
    if name not in methods:
        raise ValueError(f"method={name} is none of the run's.{nearest(name, list(methods))}")
    method = methods[name]
    what = f"method={name} of run {run.config.run}"
    if not isinstance(method, Recipe):
        raise ValueError(f"{what} is of kind {method.kind}: give one of kind ttt")
    if method.candidates != run.index:
        raise ValueError(
            f"{what} has its neighbours from {method.candidates}, and what is searched here is "
            f"index {run.index}: give a method on an index, and index= its name"
        )
    if (
        method.evaluates_halves
        or method.depends_on_order
        or method.max_overlap is not None
        or method.budget is not None
    ):
        raise ValueError(
            f"{what} splits documents, carries something from one to the next, passes over copies, "
            "or keeps a budget: give one that does not, such as ttt"
        )
    settings = method.model_dump(
        mode="json",
        exclude={*Placement.model_fields, "num_neighbors", "evaluate_at", "learning_rate", "kind"},
    )
    rate = method.learning_rate or learning_rate
    return recipe_for(neighbors, rate, sorted({0, neighbors}), **settings)


def _check_names(given: dict[str, Any]) -> None:
    """Raises `ValueError` for an argument that is nearly one of ours; what others mean is `hf`'s.

    `hf` hands on what it does not know, to be refused far from here, or not at all.
    """
    ours = list(inspect.signature(TTTNN).parameters)
    others = set(given) - set(inspect.signature(HFLM).parameters)
    for name in sorted(others):
        if close := difflib.get_close_matches(name, ours, n=1, cutoff=0.75):
            raise ValueError(f"unknown argument {name!r}. Did you mean {close[0]!r}?")


def _number(name: str, given: Any, kind: Callable[[Any], Any]) -> Any:
    try:
        return kind(given)
    except (ValueError, TypeError):
        raise ValueError(f"{name}={given} is not a number: give one in --model_args") from None


@register_model("tttnn")
class TTTNN(HFLM):
    """Hugging Face's models as the harness has them, trained on neighbours before each answer.

    A document of `loglikelihood_rolling` is adapted to once, on its own neighbours; requests of
    `loglikelihood` and `generate_until` once for each distinct context, on the context's. The
    weights are put back after each, so no answer depends on another. With `neighbors=0`, or an
    empty context, it is the harness's own `hf` in float32, with the method's `window`, where it has
    one, as `max_length`.

    `run` is a run's folder, `results/NAME`, whose index is searched; `method` one of its methods of
    kind `ttt`; `neighbors` how many; `index` one of its indexes, its first by default;
    `learning_rate` in place of the method's; all else is as for `hf`, but for `dtype`, which is
    float32 by default, because small steps are lost in bfloat16 weights.
    """

    def __init__(
        self,
        pretrained: str | Any,
        run: str = "",
        method: str = "ttt",
        neighbors: int = 20,
        index: str | None = None,
        learning_rate: float | None = None,
        dtype: str = "float32",
        max_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        _check_names(kwargs)
        if not run:
            raise ValueError("no run is given: add run=results/NAME to --model_args")
        self._run = Run(str(run), index)
        self._neighbors = _number("neighbors", neighbors, int)
        if self._neighbors < 0:
            raise ValueError(f"neighbors={neighbors}: give 0 or more")
        rate = _rate_of(self._run, pretrained) or LEARNING_RATE
        self._recipe = recipe_of(self._run, method, self._neighbors, rate)
        if learning_rate is not None:
            rate = _number("learning_rate", learning_rate, float)
            if not (rate > 0 and isfinite(rate)):
                raise ValueError(f"learning_rate={learning_rate}: give more than 0")
            self._recipe = self._recipe.model_copy(update={"learning_rate": rate})
        length = max_length or self._recipe.window
        super().__init__(pretrained, dtype=dtype, max_length=length, **kwargs)
        if self.world_size > 1:
            raise ValueError(
                "model tttnn adapts one model to one text at a time: start one process a GPU, each "
                "with its own --tasks, in place of accelerate launch"
            )

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refuses: the harness's cache knows a request, and not which model answered it."""
        if cache_hook.dbdict is not None:
            raise ValueError(
                "--use_cache has answers by request alone, whatever method, neighbors and "
                "learning_rate gave them: leave it out"
            )
        super().set_cache_hook(cache_hook)

    def _detect_batch_size(self, requests: Sequence | None = None, pos: int = 0) -> int:
        """With neighbours once, for the longest inputs: it is asked again for every context."""
        if not self._neighbors:
            return super()._detect_batch_size(requests, pos)
        found = super()._detect_batch_size()
        self.batch_size_per_gpu = found  # in the place of `auto`, so that it is not asked again
        return found

    def _loglikelihood_tokens(
        self, requests: list, disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """With neighbours without a bar for each document: there is one over all of them."""
        quiet = disable_tqdm or self._neighbors > 0
        return super()._loglikelihood_tokens(requests, quiet, override_bs)

    def _bar(self, total: int, unit: str, disable: bool) -> tqdm:
        return tqdm(
            total=total, desc="adapted to", unit=f" {unit}", disable=disable, mininterval=SECONDS
        )

    @cached_property
    def _finder(self) -> Finder:
        return Finder(self._run)

    @contextmanager
    def _adapted(self, text: str, document: int | str = 0) -> Iterator[None]:
        if not self._neighbors or not text.strip():
            yield
            return
        found = [row["text"] for row in self._finder.neighbors(text, self._neighbors)]
        if len(found) < self._neighbors:
            raise ValueError(
                f"the index has {len(found)} passages, and neighbors is {self._neighbors}: lower it"
            )
        with adapted(self.model, self.tokenizer, found, self._recipe, document):
            yield

    def _by_context(
        self, requests: list[Instance], answer: Callable[..., list], disable_tqdm: bool
    ) -> list:
        """Answers in the order of the requests; those of one context are given together."""
        answers: dict[int, Any] = {}
        order = sorted(range(len(requests)), key=lambda i: requests[i].args[0])
        contexts = len({request.args[0] for request in requests})
        with self._bar(contexts, "contexts", disable_tqdm) as bar:
            for context, members in groupby(order, key=lambda i: requests[i].args[0]):
                places = list(members)
                with self._adapted(context):
                    found = answer([requests[i] for i in places], disable_tqdm=True)
                answers |= dict(zip(places, found, strict=True))
                bar.update()
        return [answers[i] for i in range(len(requests))]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Of whole documents. One with a `query_id` has dropout as the workflow draws it."""
        if not self._neighbors:
            return super().loglikelihood_rolling(requests, disable_tqdm=disable_tqdm)
        found = []
        with self._bar(len(requests), "documents", disable_tqdm) as bar:
            for request in requests:
                document = request.doc.get("query_id", 0) if isinstance(request.doc, dict) else 0
                with self._adapted(request.args[0], document):
                    found += super().loglikelihood_rolling([request], disable_tqdm=True)
                bar.update()
        return found

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Of continuations, after training on what the context's neighbours are."""
        if not self._neighbors:
            return super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        return self._by_context(requests, super().loglikelihood, disable_tqdm)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Continuations, after training on what the context's neighbours are."""
        if not self._neighbors:
            return super().generate_until(requests, disable_tqdm=disable_tqdm)
        return self._by_context(requests, super().generate_until, disable_tqdm)
