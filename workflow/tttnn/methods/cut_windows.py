"""Cut test documents into windows, each with the two texts that may find its neighbours.

Its own, as the paper's queries are the evaluated text (`target`); and the end of what came before
it (`past`), which is all that a model in use would have.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from tqdm import tqdm

from tttnn.digests import check_model
from tttnn.models.tokenizer import load_tokenizer
from tttnn.sections.base import Section
from tttnn.sections.long import NUMBERS
from tttnn.spans import Speller, speller
from tttnn.tables import read_table, write_table

TARGET = pa.schema(
    [
        ("query_id", pa.int64()),
        ("document_id", pa.int64()),
        ("window", pa.int32()),  # from 0
        ("windows", pa.int32()),  # of the document, whether or not all of them are here
        ("text", pa.string()),
    ]
)
PAST = pa.schema([("query_id", pa.int64()), ("text", pa.string()), ("continuation", pa.string())])


class CutSpec(Section):
    """As `tttnn.sections.long.Long`, whose tokenizer is a file."""

    tokens: int
    past_tokens: int
    most: int | None


class Cut(NamedTuple):
    """A window of a text, and the end of the text before it, which the first has none of."""

    past: str
    text: str


def cut(spelt: Speller, text: str, tokens: int, past_tokens: int) -> Iterator[Cut]:
    """Windows of at most `tokens` tokens; put together they are the text.

    They are slices of it from where their first token begins. Where that is inside a character,
    whose bytes are tokens, it is the character's beginning, so that a window may have some more
    tokens and the one before it fewer; one that has no character then is left out.
    """
    starts = spelt.starts(text)
    begins = {starts[place] for place in range(tokens, len(starts), tokens)}
    inner = sorted(begin for begin in begins if starts[0] < begin < len(text))
    for start, end in pairwise([0, *inner, len(text)]):
        first = max(0, bisect_left(starts, start) - past_tokens)
        yield Cut(text[starts[first] if first else 0 : start], text[start:end])


def cut_windows(
    spec: CutSpec, queries: list[Path], model: Path, targets: list[Path], pasts: list[Path]
) -> None:
    """Cut each task's documents, in tokens of the language model in the folder `model`.

    `queries`, `targets` and `pasts` are a file a task, in the same order. Of each document, the
    first `spec.most` windows are written, to `targets` (`TARGET`), and to `pasts` (`PAST`) those
    with a past, the end of which is `text`, with the window as `continuation`. A window has the
    same id in both: `document << 20 | window`.

    Raises `ValueError` for a tokenizer without offsets, and for a document of more windows than
    have ids.
    """
    check_model(model)
    spelt = speller(load_tokenizer(model))
    if spelt is None:
        raise ValueError(
            f"{model}: its tokenizer, written in Python, does not say where in a text tokens lie: "
            "name another model as long.tokenizer"
        )
    progress = tqdm(unit=" documents", mininterval=5, delay=5)
    for source, target, past in zip(queries, targets, pasts, strict=True):
        whole, before, left_out = [], [], 0
        for row in read_table(source).to_pylist():
            document = row["query_id"]
            cuts = [*cut(spelt, row["text"], spec.tokens, spec.past_tokens)]
            kept = cuts[: spec.most]
            if len(kept) > NUMBERS:
                raise ValueError(
                    f"{source}: document {document} has {len(kept)} windows, and {NUMBERS} can be "
                    "told apart: raise long.tokens, or set long.most"
                )
            left_out += len(cuts) - len(kept)
            for number, piece in enumerate(kept):
                query = document * NUMBERS + number
                whole.append(
                    {
                        "query_id": query,
                        "document_id": document,
                        "window": number,
                        "windows": len(cuts),
                        "text": piece.text,
                    }
                )
                if number:
                    before.append(
                        {"query_id": query, "text": piece.past, "continuation": piece.text}
                    )
            progress.update()
        if left_out:
            print(
                f"{target}: left out {left_out} of {left_out + len(whole)} windows, those behind "
                f"the first {spec.most} of a document (long.most)",
                file=sys.stderr,
            )
        write_table(target, pa.Table.from_pylist(whole, schema=TARGET))
        write_table(past, pa.Table.from_pylist(before, schema=PAST))
    progress.close()
