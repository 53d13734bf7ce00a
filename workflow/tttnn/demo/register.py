"""What a subset's documents are made of, and the writing of one of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from random import Random
from typing import NamedTuple

from tttnn.demo.grammar import Grammar, Rules, Writer, draw_topic, read
from tttnn.demo.words import COMMON

# A part's separator where a line begins, and a third new line in a row.
_NO_SPACE = re.compile(r"(?<=\n) (?=\S)|(?<=\n\n)\n+")

TOPICS = 48
"""Latent topics of each domain: with 68 documents of a subset in a shard, a few of each."""


class Domain(NamedTuple):
    """What the registers that share topics share: the names and terms of each topic.

    Topic `t` follows `grammars[t % len(grammars)]`, so that a domain can have several languages.
    """

    name: str
    grammars: tuple[str, ...]


class Register(NamedTuple):
    """How the documents of one subset (a `pile_set_name`) are written.

    A document is its sections in order, each an opening and then as many of its parts as its
    share of the document's length asks for. `grammars` go with the domain's, in the same order.
    """

    subset: str
    domain: Domain
    grammars: tuple[str, ...]
    sections: tuple[tuple[str, str], ...] = (("<open>", "<part>"),)
    close: str = ""
    characters: tuple[int, int] = (600, 1900)
    sometimes_long: bool = False
    finish: Callable[[str, Random], str] = lambda text, rng: text


LONG = (5600, 8000)
"""Characters of a long document: more than four windows of 256 tokens of a small tokenizer."""


@cache
def _topic_rules(seed: int, register: Register, topic: int) -> Rules:
    domain = register.domain
    common = read(COMMON, domain.grammars[topic % len(domain.grammars)])
    rules = draw_topic(common, Random(f"{seed} {domain.name} {topic}"))
    # Sentences are the register's own, about the domain's names.
    own = read(register.grammars[topic % len(register.grammars)])
    grammar = Grammar({**rules, **own.rules}, own.drawn)
    return draw_topic(grammar, Random(f"{seed} {register.subset} {topic}"))


def write(register: Register, seed: int, topic: int, rng: Random, *, long: bool = False) -> str:
    """One document of `register` about `topic`, of `register.characters` or of `LONG` length."""
    writer = Writer(_topic_rules(seed, register, topic), rng)
    low, high = LONG if long else register.characters
    share = (low + (high - low) * rng.random()) / len(register.sections)
    sections = []
    for opening, part in register.sections:
        text = writer.expand(opening)
        while len(text) < share:
            text += writer.expand(part)
        sections.append(text)
    text = _NO_SPACE.sub("", "".join(sections) + writer.expand(register.close))
    return register.finish(text, rng).strip()
