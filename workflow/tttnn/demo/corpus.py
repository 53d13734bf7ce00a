"""The demo corpus: records of each shard, and the copies of test documents planted in train.

Everything is derived from the seed and the shard's name, so that each shard can be written by
itself, and the same text comes out in every process.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from random import Random
from typing import Any

from tttnn.demo.copies import near_copy
from tttnn.demo.settings import DemoSource
from tttnn.demo.subsets import SUBSETS, Document, write

_EMPTY_EVERY = 400
"""One record in so many has an empty text, which every pipeline must cope with."""

# One document in so many is long, in the subsets that have long ones.
_LONG_EVERY = {"train": 12, "val": 20, "test": 20}


def _size(source: DemoSource, split: str) -> int:
    sizes = {
        "train": source.train_documents,
        "val": source.val_documents,
        "test": source.test_documents,
    }
    return sizes[split]


def _subset(source: DemoSource, name: str, index: int) -> tuple[str, int]:
    """Subset of a shard's record, and the record's number within that subset.

    Each run of 22 records has every subset once, in an order of its own.
    """
    number, place = divmod(index, len(SUBSETS))
    order = Random(f"{source.seed} {name} order {number}").sample(SUBSETS, len(SUBSETS))
    return order[place], number


def _empty(source: DemoSource, name: str, split: str) -> set[int]:
    """Indices of the shard's empty records: none where they would leave a subset without text."""
    size = _size(source, split)
    if size < 2 * len(SUBSETS):
        return set()
    count = max(1, size // _EMPTY_EVERY)
    return set(Random(f"{source.seed} {name} empty").sample(range(size), count))


def _document(source: DemoSource, split: str, shard: int, shards: int, index: int) -> Document:
    name = f"{split} {shard}"
    subset, number = _subset(source, name, index)
    if index in _empty(source, name, split):
        return Document("", subset, "")
    long = number % _LONG_EVERY[split] == 0
    return write(source.seed, subset, split, shard, shards, number, long=long)


def planted(source: DemoSource) -> dict[int, str]:
    """Line numbers (from 0) of the test documents with a copy in train: "exact" or "near".

    The share is `source.copies`, even over the subsets; within a subset the two kinds take turns.
    """
    empty = _empty(source, "test 0", "test")
    by_subset: dict[str, list[int]] = {subset: [] for subset in SUBSETS}
    for index in range(source.test_documents):
        if index not in empty:
            by_subset[_subset(source, "test 0", index)[0]].append(index)
    # Each subset is drawn from by itself: documents of all subsets are selected at the same places
    # among their subset's, so that copies at the same places would be selected together or not at
    # all.
    for subset, members in by_subset.items():
        Random(f"{source.seed} planted {subset}").shuffle(members)
    rounds = zip_longest(*by_subset.values())
    drawn = [index for some in rounds for index in some if index is not None]
    drawn = drawn[: round(source.copies * source.test_documents)]
    kinds = {}
    turns = {subset: turn for turn, subset in enumerate(SUBSETS)}
    for index in sorted(drawn):
        subset, _ = _subset(source, "test 0", index)
        kinds[index] = ("exact", "near")[turns[subset] % 2]
        turns[subset] += 1
    return kinds


def _planted_here(source: DemoSource, shard: int, shards: int) -> dict[int, tuple[int, str]]:
    """Index in this train shard -> index of the test document copied there, and the kind."""
    copies = [item for turn, item in enumerate(planted(source).items()) if turn % shards == shard]
    empty = _empty(source, f"train {shard}", "train")
    places = [index for index in range(source.train_documents) if index not in empty]
    if len(copies) > len(places):
        raise ValueError(
            f"{len(copies)} copies of test documents do not fit among the {len(places)} documents "
            "of a train shard: lower `copies`, or raise `train_documents`"
        )
    drawn = Random(f"{source.seed} places {shard}").sample(places, len(copies))
    return dict(zip(drawn, copies, strict=True))


def generate(source: DemoSource, shard: str, shards: int) -> Iterator[dict[str, Any]]:
    """Records of one shard: `{"text": ..., "meta": {"pile_set_name": ..., "topic": ...}}`.

    `shard` is "test", "val", or the number of one of the `shards` train shards. A planted copy
    has `copy_of`, the line number (from 0) of its original in the test shard, and `copy`,
    "exact" or "near", in its meta. Raises ValueError for a shard that is not there, or too small
    for its share of the copies.
    """
    if shard in ("val", "test"):
        split, number, copies = shard, 0, {}
    elif shard.isdecimal() and int(shard) < shards:
        split, number = "train", int(shard)
        copies = _planted_here(source, number, shards)
    else:
        raise ValueError(f"no shard {shard!r}: there are {shards} train shards, val and test")
    for index in range(_size(source, split)):
        if index in copies:
            original, kind = copies[index]
            text, subset, topic = _document(source, "test", 0, 1, original)
            if kind == "near":
                text = near_copy(text, Random(f"{source.seed} near {original}"))
            meta = {"copy_of": original, "copy": kind}
        else:
            text, subset, topic = _document(source, split, number, shards, index)
            meta = {}
        yield {"text": text, "meta": {"pile_set_name": subset, "topic": topic, **meta}}
