"""Turn texts into vectors: the mean of an encoder's last hidden state (paper section 3).

Vectors are written to a partial file beside the output, and a note beside that says how many are
done. A job that is started again goes on from there, unless inputs, settings or code changed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.files import write_json
from tttnn.journal import read_note
from tttnn.models.folder import choose_window, load_encoder
from tttnn.models.probes import sees_padding
from tttnn.resume import Stop, identity
from tttnn.sections.embed import Embed

SORTED_AT_ONCE = 4096  # texts whose lengths are compared, so that a batch holds equal lengths
SAVE_SECONDS = 30  # at most between two notes of progress, as long as a group takes less


def embed_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    spec: Embed,
) -> np.ndarray:
    """Embed `texts`: float32 of shape (texts, hidden size), not normalised, in their order.

    A text is represented by its first `spec.max_tokens` tokens, special tokens included; the mean
    is over all of these. Texts are batched by length, so that little is padding, and none is where
    the model would see it.
    """
    equal = sees_padding(model, tokenizer)
    encoded = tokenizer(texts, truncation=True, max_length=spec.max_tokens)["input_ids"]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]), reverse=True)
    vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    autocast = torch.autocast(
        model.device.type, torch.bfloat16, enabled=spec.precision == "bfloat16"
    )
    position = 0
    while position < len(order):
        width = len(encoded[order[position]])
        members = order[position : position + max(1, spec.batch_tokens // width)]
        if equal:
            members = [member for member in members if len(encoded[member]) == width]
        position += len(members)
        ids = torch.full((len(members), width), tokenizer.pad_token_id)
        mask = torch.zeros(len(members), width)
        for row, member in enumerate(members):
            ids[row, : len(encoded[member])] = torch.tensor(encoded[member])
            mask[row, : len(encoded[member])] = 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        with torch.inference_mode(), autocast:
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1)
        mean = (hidden.float() * weights).sum(1) / weights.sum(1)
        vectors[members] = mean.cpu().numpy()
    return vectors


def _texts(paths: Iterable[Path], column: str) -> Iterator[tuple[str, int, str]]:
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(1024, columns=[column, "text"]):
            ids, texts = (values.to_pylist() for values in batch.columns)
            yield from zip([str(path)] * len(ids), ids, texts, strict=True)


def _note(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _open_vectors(
    partial: Path, made_from: str, shape: tuple[int, int], dtype: str
) -> tuple[np.memmap, int]:
    """The vectors that an earlier attempt left, and how many of them are done; or none, anew."""
    note = _note(partial)
    kept = read_note(note) if partial.is_file() else None
    match kept:
        case {"made_from": str(of), "done": int(done)} if of == made_from:
            try:
                np.lib.format.open_memmap(partial, mode="r")  # "r+" fills a short file with zeros
                vectors = np.lib.format.open_memmap(partial, mode="r+")
            except ValueError as error:
                print(f"{partial}: damaged ({error}), thrown away", file=sys.stderr)
            else:
                if (vectors.shape, vectors.dtype) == (shape, np.dtype(dtype)):
                    return vectors, done
                print(f"{partial}: of another shape, thrown away", file=sys.stderr)
    note.unlink(missing_ok=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    return np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape), 0


def _save(vectors: np.memmap, partial: Path, made_from: str, done: int) -> None:
    vectors.flush()
    write_json(_note(partial), {"made_from": made_from, "done": done})


def _embed_files(spec: Embed, inputs: list[Path], column: str, model: Path, output: Path) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder, tokenizer = load_encoder(model, device=device)
    choose_window(encoder, spec.max_tokens, "embed.max_tokens", tokenizer)
    total = sum(pq.ParquetFile(path).metadata.num_rows for path in inputs)
    shape = (total, encoder.config.hidden_size)
    made_from = identity([__name__], [spec.model_dump_json()], [model / "manifest.json", *inputs])
    partial = output.with_name(f".{output.stem}.partial")
    vectors, row = _open_vectors(partial, made_from, shape, spec.dtype)
    if row:
        print(f"going on after {row} of {total} texts", file=sys.stderr)
    saved = time.monotonic()
    texts = islice(_texts(inputs, column), row, None)
    progress = tqdm(
        total=total, initial=row, desc=f"embed {output.stem}", unit="text", mininterval=5
    )
    with progress, Stop() as stop:
        while group := list(islice(texts, SORTED_AT_ONCE)):
            block = embed_texts(encoder, tokenizer, [text for _, _, text in group], spec)
            block = block.astype(spec.dtype)  # before the check: float16 may overflow
            bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if len(bad):
                file, text_id, _ = group[bad[0]]
                raise ValueError(
                    f"{file}: {column} {text_id} has an embedding that is not finite ({len(bad)} "
                    f"in this batch): check the weights in {model}, or set embed.precision: float32"
                )
            vectors[row : row + len(block)] = block
            row += len(block)
            progress.update(len(block))
            if stop and row < total:
                _save(vectors, partial, made_from, row)
                stop.leave(f"{row} of {total} texts")
            if time.monotonic() - saved > SAVE_SECONDS:
                _save(vectors, partial, made_from, row)
                saved = time.monotonic()
    vectors.flush()
    del vectors
    partial.replace(output)
    _note(partial).unlink(missing_ok=True)
    print(f"{output}: {total} texts, {shape[1]} dimensions, on {device}", file=sys.stderr)


def embed_chunk(spec: Embed, passages: Path, model: Path, output: Path) -> None:
    """Embed the passages of one chunk: `output` is an npy of shape (rows of `passages`, d)."""
    _embed_files(spec, [passages], "passage_id", model, output)


def embed_queries(spec: Embed, queries: list[Path], model: Path, output: Path) -> None:
    """Embed the queries of all tasks, file after file, into one npy of shape (queries, d)."""
    _embed_files(spec, queries, "query_id", model, output)
