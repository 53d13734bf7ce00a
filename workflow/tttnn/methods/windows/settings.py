"""Settings of test-time training window by window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from tttnn.methods.ttt.settings import Decay, Lora, Recipe, Train
from tttnn.sections.base import Section
from tttnn.sections.method import Method, Placement


class ScoreFirst(Section):
    """Training on what has been scored: dynamic evaluation (Krause et al. 2018)."""

    chunk_tokens: int = Field(gt=0)  # of the evaluated model; a gradient step for each chunk


class WindowRecipe(Method):
    """A document scored window by window, and what the model is trained on in between.

    The keys of training are those of `tttnn.methods.ttt.settings.Recipe`, and mean the same.
    """

    kind: Literal["windows"]
    # What finds neighbours: the document's beginning, once for all windows; each window itself; the
    # text that came before it; or nothing, and there are none.
    query: Literal["document", "target", "past", "none"]
    # Whether what a window's neighbours taught stays for the next ones. If not, weights and
    # optimiser are put back before each window.
    carry: bool = False
    # null: scored windows are not trained on; what they taught stays until the document ends
    score_first: ScoreFirst | None = None
    max_neighbor_tokens: int | None = Field(default=None, gt=1)  # of each; null: all
    # of the neighbours of one query: of all windows' with `query: document`
    max_total_neighbor_tokens: int | None = Field(default=None, gt=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"  # as of kind ttt, and so are those that follow
    momentum: float = Field(default=0.0, ge=0, lt=1)  # of sgd
    learning_rate: float | None = Field(default=None, gt=0)  # null: the model's own
    weight_decay: float = Field(default=0.01, ge=0)  # as of kind ttt
    betas: tuple[Decay, Decay] = (0.9, 0.999)  # of adamw
    epsilon: float = Field(default=1e-8, gt=0)  # of adamw
    clip_norm: float | None = Field(default=1.0, gt=0)  # null: gradients are not clipped
    # as_model: as its configuration says, while training
    dropout: Literal["as_model", "none"] = "as_model"
    prefix: bool = False  # of neighbours; a chunk follows the token before it
    lora: Lora | None = None  # null: no adapters
    train: Train = "all"  # which weights
    # of steps; weights and evaluation stay in float32
    precision: Literal["float32", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def _has_something_to_train_on(self) -> WindowRecipe:
        if self.query == "none" and self.score_first is None:
            raise ValueError(
                "query: none finds no neighbours, and without score_first nothing is trained on: "
                "give score_first, or another query"
            )
        if self.carry and not self.searches_each:
            raise ValueError(
                f"carry is of windows with neighbours of their own, and query is {self.query}: set "
                "carry: false"
            )
        chunk = None if self.score_first is None else self.score_first.chunk_tokens
        if chunk is not None and self.window is not None and chunk > self.window:
            raise ValueError(
                f"score_first.chunk_tokens ({chunk}) is above window ({self.window}), the most "
                "that the model reads at once: lower chunk_tokens"
            )
        self.training()  # raises what is wrong with the keys that both kinds have
        return self

    def training(self) -> Recipe:
        """How the model is trained, as test-time training's settings say it."""
        shared = WindowRecipe.model_fields.keys() & Recipe.model_fields.keys()
        names = shared - {"kind"} - Placement.model_fields.keys()
        return Recipe.model_validate({name: getattr(self, name) for name in names})

    def trained_of(self, neighbors: Sequence[float]) -> list[float]:
        return self.training().trained_of(neighbors)

    @property
    def searches_each(self) -> bool:
        """Whether each window has neighbours of its own."""
        return self.query in ("target", "past")

    @property
    def puts_back(self) -> bool:
        """Whether what a window's neighbours taught is gone before the next one."""
        return self.searches_each and not self.carry

    @property
    def times(self) -> int | None:
        """How often a scored window is trained on; None: as often as there are `num_neighbors`."""
        return None if self.query == "none" else 1

    @property
    def computes_in(self) -> str:
        return self.precision

    @property
    def uses_neighbors(self) -> bool:
        return self.query != "none"

    @property
    def trains(self) -> bool:
        return True

    @property
    def asks_for_learning_rate(self) -> bool:
        return self.learning_rate is None
