"""Halve test documents: the first part finds and adapts, the second is evaluated.

The paper's control for queries that are the evaluated text (section 5, figure 10), and what dynamic
evaluation needs.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from tttnn.corpus.omissions import with_left_out
from tttnn.digests import check_model
from tttnn.models.tokenizer import load_tokenizer
from tttnn.models.tokens import tokens
from tttnn.sections.base import Section
from tttnn.spans import speller
from tttnn.tables import read_table, write_table

SPLIT_TOKENS = 1024
"""The paper's share of a long document, in tokens of GPT-2 (appendix A)."""

HALVES = pa.schema([("query_id", pa.int64()), ("text", pa.string()), ("continuation", pa.string())])


class SplitSpec(Section):
    """The most tokens that a document's first part may have."""

    tokens: int


def _first_tokens(total: int, most: int) -> int:
    """How many of a document's tokens its first part has."""
    return most if total >= 2 * most else total // 2


def _cut_at_token(starts: list[int], most: int) -> int:
    """The character to cut at, by those at which the tokens begin; 0 if there is none.

    Where the cut falls inside a character, whose bytes are tokens, it moves to the beginning of
    the character, or behind it if it is the first.
    """
    if not starts:
        return 0
    wanted = starts[_first_tokens(len(starts), most)]
    return min((start for start in starts if start >= wanted and start > starts[0]), default=0)


def _cut_by_search(tokenizer: PreTrainedTokenizerBase, text: str, most: int) -> int:
    """The same for a tokenizer without offsets: the longest beginning of so many tokens."""

    def count(piece: str) -> int:
        return len(tokens(tokenizer, piece))

    wanted = _first_tokens(count(text), most)
    beyond = bisect_right(range(len(text)), wanted, key=lambda end: count(text[:end]))
    cut = max(beyond - 1, 1)
    return cut if count(text[:cut]) and count(text[cut:]) else 0


def split_text(
    tokenizer: PreTrainedTokenizerBase, text: str, most: int = SPLIT_TOKENS
) -> tuple[str, str]:
    """Halve a document as the paper's split experiment does: query text, evaluated text.

    The first half of the tokens, but of 2 `most` tokens or more the first `most`. The cut is in the
    text, where the second part's first token begins, so that the halves are the document; the
    released code decodes them from the tokens, which is the same where decoding gives the text.

    The first is empty if the document has no halves: not two tokens, or one character's alone.
    """
    spelt = speller(tokenizer)
    if spelt is None:
        cut = _cut_by_search(tokenizer, text, most)
    else:
        cut = _cut_at_token(spelt.starts(text), most)
    return text[:cut], text[cut:]


def split_documents(spec: SplitSpec, queries: list[Path], model: Path, outputs: list[Path]) -> None:
    """Split each task's documents, in tokens of the language model in the folder `model`.

    `queries` and `outputs` are a file a task, in the same order; `text` of an output is what finds
    the neighbours, `continuation` what is evaluated: the same for all models, so that they can be
    compared. A document that has no halves is left out, and listed in its file (see
    `tttnn.corpus.omissions`), so that the tables can count it.
    """
    check_model(model)
    tokenizer = load_tokenizer(model)
    progress = tqdm(unit=" documents", mininterval=5, delay=5)
    for source, output in zip(queries, outputs, strict=True):
        halves, whole = [], []
        for row in read_table(source).to_pylist():
            first, second = split_text(tokenizer, row["text"], spec.tokens)
            if first:
                halves.append(row | {"text": first, "continuation": second})
            else:
                whole.append(row["query_id"])
            progress.update()
        if whole:
            print(
                f"{output}: left out {len(whole)} of {len(whole) + len(halves)} documents, which "
                f"have no two tokens to cut between (the first is {whole[0]})",
                file=sys.stderr,
            )
        schema = with_left_out(HALVES, whole)
        write_table(output, pa.Table.from_pylist(halves, schema=schema))
    progress.close()
