"""What a document does while it is in flight: its steps, measurement by measurement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tttnn.methods.likelihood import Size, Window, prefix_token, rolling_windows, size
from tttnn.methods.measure import Measurement, Query, check_neighbors
from tttnn.methods.ttt.engine import Pieces, Progress, Trainee, steps_of
from tttnn.models.tokens import tokens


@dataclass(frozen=True)
class Segment:
    """What a document does before a measurement: its steps, each the windows it is of."""

    steps: list[list[Window]]
    last: int
    """How many of the steps, at the end, are of the last neighbour."""
    tokens: int


@dataclass
class Document:
    """A query under way."""

    query: Query
    windows: list[Window]
    size: Size
    segments: list[Segment]
    progress: Progress = field(default_factory=Progress)
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def has_moved(self) -> bool:
        """Whether its weights did, since it was measured last."""
        last = self.measurements[-1] if self.measurements else None
        return last is None or last.steps != self.progress.steps

    @property
    def work(self) -> tuple[int, int]:
        """What is alike in documents of a group: steps, and tokens to train on."""
        return sum(len(s.steps) for s in self.segments), sum(s.tokens for s in self.segments)


def _window(piece: list[int]) -> Window:
    """A piece to train on, without the last token, after which nothing is predicted."""
    return Window(piece[:-1], piece[1:])


def _segments(query: Query, trainee: Trainee) -> Iterator[Segment]:
    steps: list[Pieces] = []
    last: list[Pieces] = []
    for count in range(trainee.recipe.evaluate_at[-1] + 1):
        if count > 0:
            last = steps_of(query, trainee, count)
            steps += last
        if count in trainee.recipe.evaluate_at:
            windows = [[_window(piece) for piece in step] for step in steps]
            trained = sum(len(piece) for step in steps for piece in step)
            yield Segment(windows, len(last), trained)
            steps = []


def planned(query: Query, trainee: Trainee) -> Document:
    if trainee.recipe.train_on != "query":
        check_neighbors(query, trainee.recipe.num_neighbors)
    ids = tokens(trainee.tokenizer, query.text)
    windows = rolling_windows(ids, prefix_token(trainee.tokenizer), trainee.window)
    return Document(query, windows, size(query.text, ids), list(_segments(query, trainee)))
