"""What every kind of model has."""

from __future__ import annotations

from pydantic import Field

from tttnn.sections.base import Section


class Model(Section):
    """An entry of the catalogue of models; `kind` names the module of `tttnn.models.kinds`."""

    kind: str
    # test-time training's, where a method gives none
    adapt_learning_rate: float | None = Field(default=None, gt=0)

    @property
    def trained_as(self) -> str | None:
        """What the workflow trains it for, `causal` or `masked`; None if it is fetched."""
        return None
