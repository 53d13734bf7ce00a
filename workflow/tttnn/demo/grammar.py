"""A generative grammar for demo text, and the writer that expands it with one random stream.

A grammar is text. A line at the margin names a rule, and the indented lines below it are its
options, one a line (a line indented further goes on with the option above it); after a name
with a colon the options are a comma-separated list. In an option,

    <name>    is an option of the rule `name`, and <^name> the same with a capital letter;
    <Name>    is an option of `name` drawn once a document: the same wherever it stands;
    <~name>   is drawn by the document even in what a topic has drawn;
    <2..40>   is a number, drawn by the document, with the decimals or leading zeros of its bounds;
    [a|b|]    is one of the alternatives (brackets without a bar are plain text);
    a(n)      becomes "a" or "an";
    ¶         is a new line.

`name 3` at the margin says that a topic draws three expansions of the rule and keeps to them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import NamedTuple

_HEADER = re.compile(r"(?P<name>[a-z_]+)(?: (?P<count>\d+))?(?P<listed>:)?")
_TOKEN = re.compile(r"(<[\^~]*[A-Za-z_]+>|<[\d.]+?\.\.[\d.]+>|[\[\]|])")
_ARTICLE = re.compile(r"\b(a)\(n\) (\W*\w)", re.IGNORECASE)
# What alternatives left empty: two spaces in a row, or one before a full stop or a comma.
_GAP = re.compile(r"(?<=\S) +(?= \S)|(?<=\S) +(?=[.,](?:\s|$))|[ ]+$", re.MULTILINE)

Rules = Mapping[str, Sequence[str]]


class Grammar(NamedTuple):
    """Options by rule, and how many of its expansions a topic draws, in order of drawing."""

    rules: dict[str, tuple[str, ...]]
    drawn: dict[str, int]


class Slot(NamedTuple):
    """A place to fill: `<name>` and its relatives, as written in `source`."""

    source: str
    name: str
    marks: str


class Choice(NamedTuple):
    """Alternatives, each a parsed template."""

    alternatives: tuple[tuple, ...]


@cache
def read(*texts: str) -> Grammar:
    """The grammar of all `texts` together; a later text replaces a rule of an earlier one.

    Raises ValueError for a line that is no rule's name and no option.
    """
    grammar = Grammar({}, {})
    for text in texts:
        name = ""
        options: dict[str, list[str]] = {}
        listed = set()
        for line in text.splitlines():
            if not line.strip():
                continue
            indent = len(line) - len(line.lstrip())
            header = _HEADER.fullmatch(line.strip()) if indent == 0 else None
            if header:
                name = header["name"]
                options[name] = []
                if header["count"]:
                    grammar.drawn[name] = int(header["count"])
                if header["listed"]:
                    listed.add(name)
            elif indent == 0 or not name:
                raise ValueError(f"neither a rule's name nor an option: {line!r}")
            elif name in listed:
                options[name] += [word.strip() for word in line.split(",") if word.strip()]
            elif indent > 4:
                glue = "" if options[name][-1].endswith(("|", "[", "¶")) else " "
                options[name][-1] += glue + line.strip()
            else:
                options[name].append(line.strip())
        grammar.rules.update({name: tuple(found) for name, found in options.items()})
    return grammar


@cache
def _parse(template: str) -> tuple[str | Slot | Choice, ...]:
    """The template as literal text, slots and choices."""
    # A stack of open brackets: each holds its alternatives so far, the last one still growing.
    stack: list[list[list]] = [[[]]]
    for token in _TOKEN.split(template):
        if token == "[":
            stack.append([[]])
        elif token == "|" and len(stack) > 1:
            stack[-1].append([])
        elif token == "]" and len(stack) > 1:
            alternatives = stack.pop()
            if len(alternatives) > 1:
                stack[-1][-1].append(Choice(tuple(map(tuple, alternatives))))
            else:
                stack[-1][-1] += ["[", *alternatives[0], "]"]
        elif token.startswith("<") and len(token) > 2:
            name = token[1:-1].lstrip("^~")
            stack[-1][-1].append(Slot(token, name, token[1 : -1 - len(name)]))
        elif token:
            stack[-1][-1].append(token)
    if len(stack) > 1:
        raise ValueError(f"a bracket is not closed: {template!r}")
    return tuple(stack[0][0])


def _article(match: re.Match[str]) -> str:
    article, following = match.groups()
    return f"{article}{'n' if following[-1] in 'aeiouAEIOU' else ''} {following}"


class Writer:
    """Expands templates; repeats no option of a rule before it has used all of them.

    With `topic`, what is left to the document (numbers, `<Name>`, `<~name>`) stays as it is.
    """

    def __init__(self, rules: Rules, rng: Random, *, topic: bool = False) -> None:
        self._rules = rules
        self._rng = rng
        self._topic = topic
        self._decks: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}

    def expand(self, template: str) -> str:
        """The template with every slot filled. Raises KeyError for a rule that is not there."""
        text = self._fill(_parse(template)).replace("¶", "\n")
        return text if self._topic else _GAP.sub("", _ARTICLE.sub(_article, text))

    def _fill(self, parts: tuple[str | Slot | Choice, ...]) -> str:
        filled = []
        for part in parts:
            if isinstance(part, str):
                filled.append(part)
            elif isinstance(part, Slot):
                filled.append(self._slot(part))
            else:
                index = int(self._rng.random() * len(part.alternatives))
                filled.append(self._fill(part.alternatives[index]))
        return "".join(filled)

    def _slot(self, slot: Slot) -> str:
        name, marks = slot.name, slot.marks
        number, once = name[0].isdigit(), name[0].isupper()
        if self._topic and (number or once or "~" in marks):
            return slot.source
        if number:
            return self._number(name)
        if once:
            if name not in self._names:
                self._names[name] = self._draw(name.lower())
            text = self._names[name]
        else:
            text = self._draw(name)
        return text[:1].upper() + text[1:] if "^" in marks else text

    def _draw(self, name: str) -> str:
        deck = self._decks.get(name)
        if not deck:
            deck = self._decks[name] = list(self._rules[name])
        index = int(self._rng.random() * len(deck))
        deck[index], deck[-1] = deck[-1], deck[index]
        return self._fill(_parse(deck.pop()))

    def _number(self, bounds: str) -> str:
        low, high = bounds.split("..")
        decimals = len(low.partition(".")[2])
        scale = 10**decimals
        steps = round((float(high) - float(low)) * scale) + 1
        number = round(float(low) * scale) + int(self._rng.random() * steps)
        if decimals:
            return f"{number / scale:.{decimals}f}"
        return str(number).zfill(len(low) if low.startswith("0") else 1)


def draw_topic(grammar: Grammar, rng: Random) -> dict[str, tuple[str, ...]]:
    """The grammar's rules, with those that a topic draws cut down to this topic's expansions."""
    rules = dict(grammar.rules)
    for name, count in grammar.drawn.items():
        writer = Writer(rules, rng, topic=True)
        # Two draws may agree; a topic may then have fewer options, never none.
        drawn = dict.fromkeys(writer.expand(f"<{name}>") for _ in range(count))
        rules[name] = tuple(drawn)
    return rules
