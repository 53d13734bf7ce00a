"""As many test documents as fit into hours of evaluation."""

from __future__ import annotations

from pydantic import Field, model_validator

from tttnn.sections.base import Section
from tttnn.sections.select import Select


class Draw(Select):
    """Which test documents of each task are evaluated: a fraction, a count, or what hours allow."""

    # of a processor, or of GPUs with environment: gpu; for the evaluations of all test documents
    hours: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> Draw:
        """In the place of the one of a plain draw, which has no hours."""
        if [self.fraction, self.count, self.hours].count(None) != 2:
            raise ValueError(
                "give one of fraction, count and hours, and set the two others to null"
            )
        return self


class Afforded(Section):
    """What hours led to, by the plan's rates, which are seconds of a processor or a GPU."""

    hours: float
    select: Select  # the draw
    documents: dict[str, int]  # by evaluated task, as many as the plan expects there to be
    jobs: dict[str, float]  # by task: seconds of its jobs, without a document
    document: dict[str, float]  # by task: seconds of one more document, of all its evaluations

    def expected(self, task: str, documents: int) -> float:
        """Seconds of a task's evaluations."""
        return self.jobs[task] + documents * self.document[task]
