"""Halve test documents: the first part finds and adapts, the second is evaluated.

The paper's control for queries that are the evaluated text (section 5, figure 10), and what dynamic
evaluation needs.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from tttnn.digests import check_model
from tttnn.models.folder import load_tokenizer
from tttnn.models.tokens import tokens
from tttnn.sections.base import Section
from tttnn.tables import read_table, write_table

SPLIT_TOKENS = 1024
"""The paper's share of a long document, in tokens of GPT-2 (appendix A)."""

HALVES = pa.schema([("query_id", pa.int64()), ("text", pa.string()), ("continuation", pa.string())])


class SplitSpec(Section):
    """The most tokens that a document's first part may have."""

    tokens: int


def split_text(
    tokenizer: PreTrainedTokenizerBase, text: str, most: int = SPLIT_TOKENS
) -> tuple[str, str]:
    """Halve a document as the paper's split experiment does: query text, evaluated text.

    The first half of the tokens, but of 2 `most` tokens or more the first `most`.
    """
    ids = tokens(tokenizer, text)
    cut = most if len(ids) >= 2 * most else len(ids) // 2
    return tokenizer.decode(ids[:cut]), tokenizer.decode(ids[cut:])


def split_documents(spec: SplitSpec, queries: list[Path], model: Path, outputs: list[Path]) -> None:
    """Split each task's documents, in tokens of the language model in the folder `model`.

    `queries` and `outputs` are a file a task, in the same order; `text` of an output is what finds
    the neighbours, `continuation` what is evaluated: the same for all models, so that they can be
    compared.

    Raises `ValueError` for a document of fewer than two tokens, which has no halves.
    """
    check_model(model)
    tokenizer = load_tokenizer(model)
    for source, output in zip(queries, outputs, strict=True):
        rows = read_table(source).to_pylist()
        for row in rows:
            row["text"], row["continuation"] = split_text(tokenizer, row["text"], spec.tokens)
            if not row["text"] or not row["continuation"]:
                raise ValueError(
                    f"{source}: document {row['query_id']} has fewer than two tokens and cannot be "
                    "split: leave its task out of the methods with text: split"
                )
        write_table(output, pa.Table.from_pylist(rows, schema=HALVES))
