"""What every kind of method has: its neighbours, where it is run, and when it is measured."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from tttnn.sections.base import Names, Section
from tttnn.sections.budget import Budget

Parts = dict[str, Annotated[int, Field(ge=1, le=2**16)]]
"""Into how many jobs a task's documents are dealt, and a `default`. It changes no result."""


TOKEN_BYTES = 4  # text of a token, with a vocabulary of 50,000
WINDOW = 1024  # tokens of a model's window where a method gives none: GPT-2's


class Work(NamedTuple):
    """Bytes of text that a model reads forward, where training is worth three; training steps."""

    read: int
    steps: int


class Placement(Section):
    """Where a method's neighbours come from, and what it is run on."""

    # an index, `random`, or one of `selections`; null: none are needed
    candidates: str | None = None
    # neighbours that overlap the document this much are passed over; null: none
    max_overlap: float | None = Field(default=None, gt=0, le=1)
    models: Names | None = None  # null: all of evaluate.models
    tasks: Names | None = None  # null: all of evaluate.tasks
    parts: Parts | None = None  # null: those of evaluate, or of its ablations


class Method(Placement):
    """A way to adapt a model to a document.

    `kind` names the folder of `tttnn.methods`. Its `engine` has a function
    `adapt(model, tokenizer, queries, recipe, window)`, which yields an `Adapted` for each query,
    and its `needs` says what that takes (see `tttnn.needs.kinds`). An `adapt` that also takes
    `resume` is given a `tttnn.methods.snapshot.Snapshot` to save a query half done.
    """

    kind: str  # a folder of tttnn.methods
    num_neighbors: int = Field(default=50, ge=0)  # texts a document is adapted to, at most
    # numbers of them after which it is measured, from 0 up
    evaluate_at: list[int] = [0, 1, 2, 5, 10, 20, 50]
    window: int | None = Field(default=None, gt=1)  # tokens; null: the model's context length
    seed: int = 1216  # of dropout, where the model has some

    @model_validator(mode="after")
    def _evaluates_what_it_uses(self) -> Method:
        points = self.evaluate_at
        if points != sorted(set(points)) or not points or points[0] != 0:
            raise ValueError(
                f"evaluate_at must ascend from 0 without repeats, got {list(points)}: "
                "gains are measured against the model as it was"
            )
        if points[-1] > self.num_neighbors:
            raise ValueError(
                f"evaluate_at asks for {points[-1]} neighbours, but num_neighbors is "
                f"{self.num_neighbors}: raise num_neighbors or shorten evaluate_at"
            )
        return self

    @property
    def evaluates_halves(self) -> bool:
        """Whether documents are split: the first half finds neighbours, the second is evaluated."""
        return False

    @property
    def depends_on_order(self) -> str | None:
        """The setting by which a document's result depends on the documents before it, if any."""
        return None

    @property
    def computes_in(self) -> str:
        """The precision of the model's passes."""
        return "float32"

    @property
    def uses_neighbors(self) -> bool:
        """Whether it needs neighbours at all."""
        return True

    @property
    def trains(self) -> bool:
        """Whether it takes gradient steps."""
        return False

    @property
    def uses_distances(self) -> bool:
        """Whether a result depends on how far neighbours are, beyond their order."""
        return True

    @property
    def asks_for_learning_rate(self) -> bool:
        """Whether it needs the learning rate of each model; not if its settings have one for all.

        A kind that trains is taken to need it, unless it says otherwise.
        """
        return self.trains

    @property
    def time_budget(self) -> Budget | None:
        """What a document may take, if its neighbours are chosen to fit."""
        return None

    def trained_of(self, neighbors: Sequence[float]) -> list[float]:
        """Of neighbours of so many tokens, nearest first, how many of each are used: all."""
        return [*neighbors]

    def work(self, text: int, context: int, neighbors: Sequence[int]) -> Work:
        """What a document is expected to cost.

        Of bytes of the evaluated text, of the one before it where a document is split, and of the
        neighbours used. Jobs are made of equal cost by it. A kind that does more than measure the
        text at each number of neighbours says so.
        """
        return Work(len(self.evaluate_at) * self.read(text), 0)

    def read(self, text: int) -> int:
        """Bytes that are read to evaluate a text once: the last of several windows is full."""
        window = TOKEN_BYTES * (self.window or WINDOW)
        return text if text <= window else ceil(text / window) * window
