"""How much there is of what in a run: what formulas are given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from tttnn.needs.need import Need
from tttnn.needs.rates import TOKEN_BYTES, Rates
from tttnn.needs.shapes import Shape
from tttnn.sections.chunk import Chunk
from tttnn.sections.embed import Embed
from tttnn.sections.embeddings import Embeddings
from tttnn.sections.experts import Experts
from tttnn.sections.gather import Gather
from tttnn.sections.index import Index
from tttnn.sections.lexical import Lexical
from tttnn.sections.long import Long
from tttnn.sections.method import Method
from tttnn.sections.model import Model
from tttnn.sections.pool import Pool
from tttnn.sections.score import Score
from tttnn.sections.search import Search
from tttnn.sections.select import Select
from tttnn.sections.selection import Selection
from tttnn.sections.windows import Windows

HELD_OUT = 30
"""Documents of a train shard for one of a held-out split, as the Pile's: 7.0 million to 214,584."""


class Texts(NamedTuple):
    """The corpus: of a train shard, and of the test documents of each task.

    `known` says where that is from; `fetched` how many bytes of text arrive a second, and
    `fetched_from` where that is from. `provisional`: another corpus' sizes, until there are files.
    """

    documents: float
    bytes: float
    selected: dict[str, float]
    document_bytes: dict[str, float]
    known: str
    fetched: float
    fetched_from: str
    provisional: bool = False


@dataclass(frozen=True)
class Scale:
    """The sizes of a run, and the sections of its configuration that formulas read."""

    texts: Texts
    shapes: Mapping[str, Shape]  # by model
    rates: Rates
    on_gpu: bool
    memory_mb: int
    # by model and task: seconds of a training step on a neighbour, where it was measured
    step_seconds: Mapping[tuple[str, str], float]
    shards: Collection[str]
    embedders: Sequence[str]
    built_indexes: Sequence[str]
    cells: Sequence[tuple[str, str, str]]  # evaluated (model, method, task)
    parts: Callable[[str, str], int]  # jobs of a method and task, evaluated or not
    models: Mapping[str, Model]
    indexes: Mapping[str, Index]
    lexical: Mapping[str, Lexical]
    pools: Mapping[str, Pool]
    windows: Windows
    embedded_by: Mapping[str, str]  # by name of candidates
    selections: Mapping[str, Selection]
    experts: Mapping[str, Experts]
    methods: Mapping[str, Method]
    chunk: Chunk
    embed: Embed
    embeddings: Embeddings
    search: Search
    gather: Gather
    select: Select
    validation: Select
    long: Long
    score: Score

    def documents_of(self, shard: str) -> float:
        """Of a train shard or a held-out one."""
        return self.texts.documents / (1 if shard in self.shards else HELD_OUT)

    def bytes_of(self, shard: str) -> float:
        """Text of a train shard or a held-out one."""
        return self.texts.bytes / (1 if shard in self.shards else HELD_OUT)

    @cached_property
    def document_tokens(self) -> float:
        """Of a train document."""
        return self.texts.bytes / self.texts.documents / TOKEN_BYTES

    @cached_property
    def _windows(self) -> float:
        """Passages of a document."""
        chunk = self.chunk
        return (
            max(1.0, self.document_tokens / chunk.stride_tokens) if chunk.unit == "window" else 1.0
        )

    @cached_property
    def passages(self) -> float:
        """Of a shard."""
        return self.texts.documents * self._windows

    @cached_property
    def all_passages(self) -> float:
        """Of all shards."""
        return len(self.shards) * self.passages

    @cached_property
    def passage_bytes(self) -> float:
        """Text of a passage."""
        return self.texts.bytes / self.texts.documents / self._windows

    @cached_property
    def passage_tokens(self) -> float:
        """Of a passage, as far as it is embedded."""
        return min(self.document_tokens, self.embed.max_tokens)

    @cached_property
    def queries(self) -> float:
        """Test documents of all tasks that are evaluated."""
        return sum(self.texts.selected.values())

    @cached_property
    def task_queries(self) -> float:
        """Test documents of the task with most of them."""
        return max(self.texts.selected.values())

    @cached_property
    def query_bytes(self) -> float:
        """Text of all of those."""
        return sum(self.texts.document_bytes[t] * n for t, n in self.texts.selected.items())

    @cached_property
    def query_windows(self) -> float:
        """Windows of those, of as many tokens as are embedded."""
        size = TOKEN_BYTES * self.embed.max_tokens
        cut = (
            n * max(1, self.texts.document_bytes[t] / size) for t, n in self.texts.selected.items()
        )
        return min(sum(cut), self.queries * self.windows.most)

    def dimension(self, candidates: str) -> int:
        """Of the vectors in an index, or of those that candidates have their distances from."""
        return self.shapes[self.embedded_by[candidates]].width

    def evaluated_windows(self, task: str) -> float:
        """Of a test document of a task, those that are evaluated window by window."""
        windows = max(1.0, self.texts.document_bytes[task] / TOKEN_BYTES / self.long.tokens)
        return windows if self.long.most is None else min(windows, self.long.most)

    @cached_property
    def by_window(self) -> Scale:
        """The same run where queries are windows: more of them, and shorter ones."""
        texts = self.texts
        windows = {task: self.evaluated_windows(task) for task in texts.selected}
        selected = {task: n * windows[task] for task, n in texts.selected.items()}
        lengths = {task: size / windows[task] for task, size in texts.document_bytes.items()}
        return replace(self, texts=texts._replace(selected=selected, document_bytes=lengths))


Formula = Callable[[Scale, Mapping[str, str]], Need]
"""What one job of a rule needs, from its wildcards."""
