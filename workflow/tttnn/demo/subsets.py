"""The register of each of the Pile's 22 subsets, and its documents by number."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tttnn.demo import (
    github,
    mathematics,
    medicine,
    offices,
    parliament,
    register,
    software,
    stories,
    theory,
    videos,
    world,
)
from tttnn.demo.register import TOPICS, Register
from tttnn.pile import TASK_OF_SUBSET

SUBSETS = tuple(TASK_OF_SUBSET)

_MODULES = (medicine, offices, parliament, software, stories, theory, videos, world)
REGISTERS: dict[str, Register] = {
    found.subset: found for module in _MODULES for found in module.REGISTERS
}


class Document(NamedTuple):
    """A text, its subset, and the latent topic that it is about."""

    text: str
    subset: str
    topic: str


def write(
    seed: int, subset: str, split: str, shard: int, shards: int, number: int, *, long: bool
) -> Document:
    """The `number`-th document of a subset in one shard; `long` is for registers that have it.

    Topics take turns, from another one in each shard.
    """
    topic = (number + 7 * shard) % TOPICS
    rng = Random(f"{seed} {subset} {split} {shard} {number}")
    if subset == "Github":
        topic = (number + 7 * shard) % github.FILES
        text = github.write(seed, topic, split, shard + shards * (number // github.FILES))
        domain = "code"
    elif subset == "DM Mathematics":
        text = mathematics.write(topic, rng)
        domain = "mathematics"
    else:
        found = REGISTERS[subset]
        text = register.write(found, seed, topic, rng, long=long and found.sometimes_long)
        domain = found.domain.name
    return Document(text, subset, f"{domain}-{topic:02d}")
