"""What a kind of method and a type of index say that they need, each in its own folder.

A kind's `needs` lies beside its settings and is loaded by name, when a job of the kind is counted:
- of a method: `passes(recipe)`, a `Passes`;
- of an index type: a `Need` each for what its engine does: of one shard `search(spec, vectors,
  queries)`, and where the type learns `learn(spec, vectors)`, `merge_learnt` and `fill`. It is what
  is needed beyond what every type needs, which `tttnn.retrieval.needs` adds; `memory` is of data,
  all at once, and `least` what of it cannot be done in parts.
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import NamedTuple

INDEX_THREADS, SEARCH_THREADS = 4, 16  # of rules/index.smk and rules/neighbors.smk


class Passes(NamedTuple):
    """What a method does with one document, counted in passes over a text of that length."""

    steps: float  # training steps: a pass forward, and one backward that is worth two
    forward: float
    copies: float  # of the weights in float32: themselves, gradients, moments, what is put back


class Vectors(NamedTuple):
    """The vectors that an index is built of: shards, rows of a shard and of a file, dimension.

    `number` is the bytes of each of a vector's numbers, `products` how many multiply-adds a second
    a search of all of them does.
    """

    shards: int
    rows: float
    file_rows: float
    dimension: int
    number: int
    products: float

    @property
    def all(self) -> float:
        """Rows of all shards."""
        return self.shards * self.rows


@cache
def load(where: str, kind: str) -> ModuleType:
    """The `needs` of a kind; `where` is as in `tttnn.sections.kinds`.

    Raises `ValueError` if the kind has none.
    """
    name = f"{where.replace('*', kind).removesuffix('.settings')}.needs"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):  # something that it imports
            raise
        raise ValueError(
            f"kind {kind!r} does not say what its jobs need: write "
            f"workflow/{name.replace('.', '/')}.py (tttnn/needs/kinds.py says what it holds)"
        ) from None
