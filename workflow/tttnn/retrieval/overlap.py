"""How much of one text is in another: equality, containment and Jaccard similarity of n-grams.

Words are runs of word characters in lower case, so that neither punctuation nor the layout of a
page hides a copy. The pairs are given here, so the similarity is counted: MinHash, which estimates
it from signatures, serves to find pairs, and to make a text's signature costs more than to count
(benchmarks/overlap.py).

A query's neighbours are counted together, as arrays. Their words become numbers, 8 bytes each, from
which they can be told for certain; n-grams are sorted by a rolling hash of these (Karp and Rabin
1987) to find those that may be equal, and each such pair is then compared number by number. So the
hash decides about time alone: where unequal n-grams share one, another is tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tttnn.sections.gather import Gather

WORD = re.compile(r"\w+")
CHARACTERS_AT_ONCE = 1 << 18  # of neighbours, whose arrays a cache holds; a longer one is alone
MULTIPLIERS = (0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 0xAF251AF3B0F025B5, 0xB564EF22EC7AECE5)
KEPT_MEMORY = 1 << 24  # bytes
PACKED = 1 << 16  # n-grams whose place fits into their hash, of which enough bits remain

PIECE = 8  # bytes of a word in a number
GOES_ON = 0xFF  # the highest byte of a piece that is not its word's last: in no UTF-8
KEPT = np.array(
    [(1 << 8 * size) - 1 for size in range(PIECE + 1)] + [(1 << 8 * (PIECE - 1)) - 1], np.uint64
)
"""By the bytes left of a word, `PIECE + 1` for more than fit: those of 8 that a piece keeps."""

Ints = npt.NDArray[np.int64]


def exact(first: str, second: str) -> bool:
    """Whether two texts are equal but for case and the amount of white space.

    Punctuation counts: `a + b` and `a - b` have the same words.
    """
    return first.lower().split() == second.lower().split()


# --- words as numbers ------------------------------------------------------------------------


class _Words(NamedTuple):
    """The words of some texts, one after the other, in pieces of at most `PIECE` bytes.

    Two runs of words are equal if and only if their pieces are.
    """

    pieces: npt.NDArray[np.uint64]
    starts: Ints  # [words + 1], the piece at which each word begins
    bounds: Ints  # [texts + 1], the word at which each text begins

    def text_of(self, words: Ints) -> Ints:
        """The texts that words are in."""
        return np.searchsorted(self.bounds, words, side="right") - 1


_IS_WORD = bytes(code >= 128 or bool(WORD.match(chr(code))) for code in range(256))
"""Of each byte of UTF-8: whether it is a word's, or of a character that needs looking at."""
_KINDS = np.zeros(0x110000, np.uint8)
"""Of each code point that was met: `MET`, and what it is."""
MET, OTHER, CASED = 1, 2, 4  # no character of a word; another one in lower case


def _kinds(codes: Ints) -> npt.NDArray[np.uint8]:
    kinds = _KINDS.take(codes)
    if not kinds.all():
        for code in set(codes[kinds == 0].tolist()):
            character = chr(code)
            is_other, is_cased = not WORD.match(character), character.lower() != character
            _KINDS[code] = MET + OTHER * is_other + CASED * is_cased
        kinds = _KINDS.take(codes)
    return kinds


def _beyond_ascii(data: npt.NDArray[np.uint8]) -> tuple[Ints, Ints, npt.NDArray[np.uint8]]:
    """The characters of UTF-8 that are not ASCII: where they begin, their bytes, their kinds."""
    begins = np.flatnonzero(data >= 0xC0)
    codes = data[begins].astype(np.int64)
    sizes = 2 + (codes >= 0xE0) + (codes >= 0xF0)
    codes &= 0x7F >> sizes
    for place in range(1, 4):
        codes = np.where(sizes > place, codes << 6 | data[begins + place] & 0x3F, codes)
    return begins, sizes, _kinds(codes)


def _lower(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], Ints]:
    """UTF-8 of texts in lower case; of each byte, whether it is a word's; where texts begin.

    Texts are in between of line feeds, and behind them is room to read `PIECE` bytes from any on.
    """
    parts = [text.encode().lower() for text in texts]  # of ASCII
    for is_last in (False, True):
        starts = np.cumsum([1, *(len(part) + 1 for part in parts)])
        joined = bytearray(b"\n").join([b"", *parts, bytes(PIECE)])
        data = np.frombuffer(joined, np.uint8)
        mask = np.frombuffer(joined.translate(_IS_WORD), bool)
        if all(map(bytes.isascii, parts)):
            break
        begins, sizes, kinds = _beyond_ascii(data)
        cased = begins[kinds & CASED > 0]
        if is_last or not len(cased):
            others = kinds & OTHER > 0
            for place in range(4):
                mask[begins[others & (sizes > place)] + place] = False
            break
        for text in np.unique(np.searchsorted(starts, cased, side="right") - 1).tolist():
            parts[text] = texts[text].lower().encode()
    return data, mask, starts


def _words(texts: Sequence[str]) -> _Words:
    data, mask, text_starts = _lower(texts)
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    begins, sizes = edges[::2], edges[1::2] - edges[::2]
    bounds = np.searchsorted(begins, text_starts)

    # every piece has a byte less than the last may have
    counts = np.maximum((sizes + PIECE - 3) // (PIECE - 1), 1)
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    at, left = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.int64)
    at[starts[:-1]], left[starts[:-1]] = begins, sizes
    longer = np.flatnonzero(counts > 1)
    more = counts[longer] - 1
    number = 1 + np.arange(more.sum()) - np.repeat(np.cumsum(more) - more, more)
    place = np.repeat(starts[longer], more) + number
    at[place] = np.repeat(begins[longer], more) + (PIECE - 1) * number
    left[place] = np.repeat(sizes[longer], more) - (PIECE - 1) * number

    goes_on = np.flatnonzero(left > PIECE)
    left[goes_on] = PIECE + 1
    every = np.ndarray(len(data) - PIECE + 1, "<u8", data, strides=(1,))  # 8 bytes from each on
    pieces = every[at] & KEPT.take(left)
    pieces[goes_on] |= np.uint64(GOES_ON << 8 * (PIECE - 1))
    return _Words(pieces, starts, bounds)


def _joined(first: _Words, second: _Words) -> _Words:
    return _Words(
        np.concatenate([first.pieces, second.pieces]),
        np.concatenate([first.starts, second.starts[1:] + first.starts[-1]]),
        np.concatenate([first.bounds, second.bounds[1:] + first.bounds[-1]]),
    )


# --- n-grams that are equal ------------------------------------------------------------------


_POWERS: dict[int, npt.NDArray[np.uint64]] = {}
"""By base: those that were needed so far."""


def _powers(base: int, count: int) -> npt.NDArray[np.uint64]:
    """base ** i modulo 2**64, for i below `count`."""
    if base not in _POWERS or len(_POWERS[base]) < count:
        powers = np.full(1 << count.bit_length(), base, np.uint64)
        powers[0] = 1
        _POWERS[base] = np.cumprod(powers, out=powers)
    return _POWERS[base][:count]


def _hashes(words: _Words, n: int, multiplier: int) -> npt.NDArray[np.uint64]:
    """A number for the n words from each on, the same for equal ones."""
    mixed = words.pieces ^ (words.pieces >> np.uint64(32))  # or what differs in high bytes alone
    mixed *= np.uint64(multiplier)  # would have few bits that differ
    mixed ^= mixed >> np.uint64(32)
    mixed *= _powers(multiplier, len(mixed))
    sums = np.zeros(len(mixed) + 1, np.uint64)
    np.cumsum(mixed, out=sums[1:])
    sums = sums.take(words.starts)
    inverse = _powers(pow(multiplier, -1, 1 << 64), len(mixed))
    return (sums[n:] - sums[:-n]) * inverse.take(words.starts[:-n])


def _same_hash(hashes: npt.NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Places of each n-gram that is not the last of its hash, and of the next of the same.

    Those of one hash follow each other, by their places.
    """
    if len(hashes) > PACKED:
        order = np.argsort(hashes, kind="stable")
        same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        return order[same], order[same + 1]
    low = np.uint64(PACKED - 1)
    packed = (hashes & ~low) | np.arange(len(hashes), dtype=np.uint64)
    packed.sort()  # some times faster than to sort places by what is there
    same = np.flatnonzero((packed[1:] ^ packed[:-1]) <= low)
    return (packed[same] & low).astype(np.int64), (packed[same + 1] & low).astype(np.int64)


def _all_equal(words: _Words, n: int, first: Ints, second: Ints) -> bool:
    """Whether the n words from each of `first` on are those from its place in `second` on."""
    at, other = words.starts[first], words.starts[second]
    sizes = words.starts[first + n] - at
    if np.any(sizes != words.starts[second + n] - other):
        return False
    places = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    mine = words.pieces[places + np.repeat(at, sizes)]
    return np.array_equal(mine, words.pieces[places + np.repeat(other, sizes)])


class _Shared(NamedTuple):
    repeated: Ints  # by text: n-grams less distinct ones
    shared: Ints  # by text: distinct ones that the first text has, too
    words: Ints  # where those begin that the first text has and that come again, there and here


def _shared(words: _Words, n: int, first: Ints) -> _Shared:
    """What the texts' n-grams that begin at the words `first`, ascending, have in common."""
    count = len(words.bounds) - 1
    if not len(first):
        return _Shared(np.zeros(count, np.int64), np.zeros(count, np.int64), first)
    for multiplier in MULTIPLIERS:
        here, there = _same_hash(_hashes(words, n, multiplier).take(first))
        begins = np.ones(len(here), bool)
        begins[1:] = here[1:] != there[:-1]
        origin = first.take(here[begins].take(np.cumsum(begins) - 1))  # where it comes first
        here, there = first.take(here), first.take(there)
        text = words.text_of(there)
        is_again, is_query = here >= words.bounds.take(text), origin < words.bounds[1]
        counts = is_again | is_query
        if _all_equal(words, n, here[counts], there[counts]):
            return _Shared(
                np.bincount(text[is_again], minlength=count),
                np.bincount(text[is_query & ~is_again], minlength=count),
                np.unique(np.concatenate([origin[is_query], there[is_query]])),
            )
    raise AssertionError("n-grams that differ have the same hashes")


def _ngrams(bounds: Ints, n: int) -> Ints:
    """The words at which n-grams begin; a text of fewer words has none."""
    is_one = np.ones(bounds[-1], bool)
    for start, end in pairwise(bounds.tolist()):
        is_one[max(start, end - n + 1) : end] = False
    return np.flatnonzero(is_one)


# --- a query and its neighbours --------------------------------------------------------------


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _contained(words: _Words, n: int, shingle: int, shared: Ints) -> Ints:
    """How many of the first text's distinct n-grams each text has.

    `shared` is where the texts' shingles begin that the first one has: an n-gram which that has,
    too, begins where some in a row do.
    """
    if n < shingle:
        return _shared(words, n, _ngrams(words.bounds, n)).shared
    row = n - shingle
    first = shared[: max(0, len(shared) - row)]
    first = first[shared[row:] - first == row]
    return _shared(words, n, first[words.text_of(first) == words.text_of(first + n - 1)]).shared


def overlaps(spec: Gather, query: str, texts: Iterable[str]) -> Iterator[tuple[bool, float, float]]:
    """How alike a query and each of `texts` are: `exact`, `overlap` and `jaccard`.

    - `overlap`: the share of the query's distinct n-grams of `spec.ngram` words that the text has;
      of a query of fewer words, all of them are its one n-gram; 0 for one without words.
    - `jaccard`: shared n-grams of `spec.shingle` words over all of both; of a text of fewer words,
      all of them are its one n-gram; 0 where neither has any.
    """
    # glibc gives no memory back to the system, to be cleared when it is asked for again, that is
    # less than what was once freed: a third of the time, where texts are short
    np.empty(KEPT_MEMORY, np.uint8)
    own = _words([query])
    count = int(own.bounds[-1])
    n = min(spec.ngram, count)
    first = _ngrams(own.bounds, n)
    grams = len(first) - int(_shared(own, n, first).repeated[0]) if n else 0
    for batch in _batches(texts):
        words = _joined(own, _words(batch))
        sizes, ends = np.diff(words.bounds), words.starts[words.bounds].tolist()
        same = [
            end - start == ends[1] and np.array_equal(words.pieces[start:end], own.pieces)
            for start, end in pairwise(ends)
        ]
        found = _shared(words, spec.shingle, _ngrams(words.bounds, spec.shingle))
        is_short = sizes < spec.shingle
        distinct = np.where(is_short, sizes > 0, sizes - spec.shingle + 1 - found.repeated)
        shared = np.where(is_short, (sizes > 0) & same, found.shared)
        jaccard = shared / np.maximum(1, distinct[0] + distinct - shared)
        held = _contained(words, n, spec.shingle, found.words) if n else found.shared
        overlap = held / max(1, grams)
        yield from zip(
            # other words: no need to split the texts
            (equal and exact(query, text) for equal, text in zip(same[1:], batch, strict=True)),
            overlap[1:].tolist(),
            jaccard[1:].tolist(),
            strict=True,
        )
