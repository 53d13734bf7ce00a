"""The catalogue of methods: a name for each way to adapt a model to a document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tttnn.config.base import Names, Section

ENGINES = {
    "ttt": "tttnn.adapt",
    "in_context": "tttnn.in_context",
    "interpolate": "tttnn.interpolate",
    "knn_lm": "tttnn.knn_lm",
}
"""The module of each kind of method; its function has the module's name."""

Share = Annotated[float, Field(ge=0, lt=1)]
Parts = dict[str, Annotated[int, Field(ge=1)]]
"""Into how many jobs a task's documents are dealt, and a `default`. It changes no result."""


class Budget(Section):
    """How many neighbours a method may use, and after how many of them it is measured."""

    num_neighbors: int = Field(default=50, ge=0)
    evaluate_at: list[int] = [0, 1, 2, 5, 10, 20, 50]
    window: int | None = Field(default=None, gt=1)  # tokens; null: the model's context length
    seed: int = 1216

    @model_validator(mode="after")
    def _evaluates_what_it_uses(self) -> Budget:
        points = self.evaluate_at
        if points != sorted(set(points)) or not points or points[0] != 0:
            raise ValueError(
                f"evaluate_at must ascend from 0 without repeats, got {list(points)}: "
                "gains are measured against the model as it was"
            )
        if points[-1] > self.num_neighbors:
            raise ValueError(
                f"evaluate_at asks for {points[-1]} neighbors, but num_neighbors is "
                f"{self.num_neighbors}: raise num_neighbors or shorten evaluate_at"
            )
        return self

    @property
    def evaluates_halves(self) -> bool:
        """Whether documents are split: the first half finds neighbours, the second is evaluated."""
        return False

    @property
    def depends_on_order(self) -> bool:
        """Whether a document's result depends on the documents before it."""
        return False


class Lora(Section):
    """Low-rank adapters beside frozen weights (Hu et al. 2022, arXiv 2106.09685)."""

    rank: int = Field(default=16, gt=0)
    alpha: float = Field(default=32.0, gt=0)  # adapters are scaled by alpha / rank
    targets: list[str] | Literal["all-linear"] = "all-linear"  # modules, by the end of their names


class Recipe(Budget):
    """Test-time training of one document (paper section 4 and appendices A-C)."""

    kind: Literal["ttt"] = "ttt"
    text: Literal["document", "split"] = "document"
    train_on: Literal["neighbors", "query", "query_then_neighbors"] = "neighbors"
    step: Literal["window", "neighbor", "batch"] = "window"
    learning_rate: float | None = Field(default=None, gt=0)  # null: the model's own
    weight_decay: float = Field(default=0.01, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0)
    clip_norm: float | None = Field(default=1.0, gt=0)  # null: gradients are not clipped
    dropout: Literal["as_model", "none"] = "as_model"
    prefix: bool = False  # train, as is evaluated, on windows that follow an end-of-text token
    lora: Lora | None = None  # null: all weights are trained
    accumulate: bool = False
    as_released: bool = False

    @model_validator(mode="after")
    def _trains_on_what_is_not_evaluated(self) -> Recipe:
        if self.train_on != "neighbors" and self.text != "split":
            raise ValueError(
                f"train_on: {self.train_on} trains on the evaluated text itself unless that is "
                "split: set text: split"
            )
        if self.train_on != "neighbors" and self.step == "batch":
            raise ValueError("step: batch is of neighbors; set train_on: neighbors")
        return self

    @property
    def evaluates_halves(self) -> bool:
        return self.text == "split"

    @property
    def depends_on_order(self) -> bool:
        return self.accumulate or self.as_released


class InContext(Budget):
    """Neighbours in front of the document, in the model's window (paper section 5)."""

    kind: Literal["in_context"]
    as_released: bool = False


class Mixture(Budget):
    """The neighbours' predictions mixed with the model's, with every share alpha of a grid."""

    alphas: list[Share] = Field(min_length=1)

    @model_validator(mode="after")
    def _measures_a_share_once(self) -> Mixture:
        if self.alphas != sorted(set(self.alphas)):
            raise ValueError(f"alphas must ascend without repeats, got {self.alphas}")
        return self

    @property
    def chooses_on_test(self) -> bool:
        """Whether alpha is the best for the test documents, not for those of validation."""
        return False


class Interpolate(Mixture):
    """The neighbours' unigrams mixed into the model's predictions (paper section 5)."""

    kind: Literal["interpolate"]
    as_released: bool = False

    @property
    def chooses_on_test(self) -> bool:
        return self.as_released


class KnnLm(Mixture):
    """Predictions of the neighbours' tokens in like contexts (Khandelwal et al. 2020)."""

    kind: Literal["knn_lm"]
    nearest: int = Field(default=1024, gt=0)  # tokens of the neighbours that vote
    temperature: float = Field(default=1.0, gt=0)  # of the softmax over negative distances


class Placement(Section):
    """Where a method's neighbours come from, and what it is run on."""

    # an index, `random`, or one of `selections`; null: none are needed
    candidates: str | None
    # neighbours that overlap the document this much are passed over; null: none
    max_overlap: float | None = Field(default=None, gt=0, le=1)
    models: Names | None = None  # null: all of evaluate.models
    tasks: Names | None = None  # null: all of evaluate.tasks
    parts: Parts | None = None  # null: those of evaluate, or of its ablations


class PlacedTraining(Recipe, Placement):
    """Test-time training in the catalogue."""

    kind: Literal["ttt"]

    @model_validator(mode="after")
    def _has_neighbors(self) -> PlacedTraining:
        if (self.candidates is None) != (self.train_on == "query"):
            raise ValueError(
                "candidates must be null where train_on is query, and only there: give an index, "
                "random or one of selections"
            )
        return self


class PlacedInContext(InContext, Placement):
    """In-context learning in the catalogue."""

    candidates: str


class PlacedInterpolate(Interpolate, Placement):
    """Interpolation in the catalogue."""

    candidates: str


class PlacedKnnLm(KnnLm, Placement):
    """kNN-LM in the catalogue."""

    candidates: str


AnyRecipe = Annotated[
    Recipe | InContext | Interpolate | KnnLm,
    Field(discriminator="kind"),
]
Method = Annotated[
    PlacedTraining | PlacedInContext | PlacedInterpolate | PlacedKnnLm,
    Field(discriminator="kind"),
]


class Ablations(Section):
    """More methods, on those of these models and tasks that are evaluated at all."""

    methods: list[str]  # of `methods`, or of `sets` of them
    models: Names
    tasks: Names | Literal["all"] = "all"
    parts: Parts = {"default": 1}


class Evaluate(Section):
    """Which models, methods and tasks are evaluated, and in how many jobs a task."""

    models: Names
    methods: Names  # of `methods`, or of `sets` of them; the first is the main one
    tasks: Names | Literal["all"] = "all"
    ablations: Ablations | None = None
    parts: Parts = {"default": 1}


class Score(Section):
    """Intervals: paired bootstrap over documents. And which documents count as clean."""

    resamples: int = Field(default=1000, gt=0)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    seed: int = 1216
    # a document is clean while no neighbour is its copy, holds this share of its word n-grams, or
    # has this Jaccard similarity with it
    clean_below: float = Field(default=0.5, gt=0, le=1)
    clean_jaccard_below: float = Field(default=0.5, gt=0, le=1)
