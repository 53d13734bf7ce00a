"""Vectors of all of a document's windows, and what is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from tttnn.corpus.chunk import windows
from tttnn.digests import check_model
from tttnn.environment import environment
from tttnn.files import sha256
from tttnn.models.folder import choose_window, load_encoder
from tttnn.models.representation import representation_of
from tttnn.retrieval.embed import SORTED_AT_ONCE, embed_texts
from tttnn.retrieval.tensors import save_tensors
from tttnn.sections.base import Section
from tttnn.sections.embed import Embed
from tttnn.spans import Speller, speller
from tttnn.tables import read_table

SPECIAL = 2  # tokens that an encoder puts around a text


class EmbedWindowsSpec(Section):
    """How texts are embedded, and how many windows a document has at most."""

    embed: Embed
    most: int


def _windows(path: Path, spelt: Speller, spec: EmbedWindowsSpec) -> Iterator[tuple[int, str]]:
    """Query and text of each window of a task's queries, at least one of each."""
    table = read_table(path, ["query_id", "text"])
    length = spec.embed.max_tokens - SPECIAL
    for query, text in zip(*(column.to_pylist() for column in table.columns), strict=True):
        cut = list(islice(windows(text, spelt.starts(text), length, length), spec.most))
        yield from ((query, window) for window in cut or [text])


def embed_windows(spec: EmbedWindowsSpec, queries: list[Path], model: Path, output: Path) -> None:
    """Embed the windows of all tasks' queries: each text in as many as `most` allows.

    A window has as many of the embedder's tokens as are embedded (`embed.max_tokens`); what is
    behind the last one is left out. `output` is safetensors: `query_id`, int64, (windows,),
    ascending in the order of the queries' files and of their texts, and `vectors`, (windows, d).
    All windows' vectors are in memory, and some thousand texts. `embed_queries` gives the first
    window's vector, or nearly: where a text is cut changes how its end is spelt.

    Raises `ValueError` for a vector that is not finite.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    check_model(model)
    encoder, tokenizer = load_encoder(model, device=device)
    how = representation_of(model)
    choose_window(encoder, spec.embed.max_tokens, "embed.max_tokens", tokenizer)
    spelt = speller(tokenizer)
    if spelt is None:
        raise ValueError(
            f"{model} has a tokenizer without offsets: take an embedder with a fast one"
        )
    cut = (window for path in queries for window in _windows(path, spelt, spec))
    ids: list[int] = []
    vectors = [np.empty((0, encoder.config.hidden_size), spec.embed.dtype)]
    progress = tqdm(unit=" windows", mininterval=5, delay=5)  # how many there are, cutting tells
    while group := list(islice(cut, SORTED_AT_ONCE)):
        block = embed_texts(encoder, tokenizer, [text for _, text in group], spec.embed, how)
        bad = np.flatnonzero(~np.isfinite(block.astype(spec.embed.dtype)).all(axis=1))
        if len(bad):
            raise ValueError(
                f"{output}: a window of query {group[bad[0]][0]} has an embedding that is not "
                f"finite: check the weights in {model}, or set embed.precision: float32"
            )
        ids += [query for query, _ in group]
        vectors.append(block.astype(spec.embed.dtype))
        progress.update(len(group))
    progress.close()
    said = {
        "embedder": sha256(model / "manifest.json"),
        "environments": [environment(device, spec.embed.precision)],
    }
    tensors = {"query_id": np.array(ids, np.int64), "vectors": np.concatenate(vectors)}
    save_tensors(output, tensors, said)
