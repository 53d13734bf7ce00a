"""Turn texts into vectors: the mean of an encoder's last hidden state (paper section 3).

Vectors are written to a partial file beside the output, and a note beside that says how many are
done. A job that is started again goes on from there, unless inputs, settings or code changed, or
what is there is damaged.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.digests import DamagedError, check_model, read_record, write_record
from tttnn.environment import Environment, distinct, environment
from tttnn.files import put, sha256
from tttnn.models.first_tokens import first_tokens
from tttnn.models.folder import choose_window, load_encoder
from tttnn.models.probes import sees_padding
from tttnn.models.representation import PAPERS, Representation, representation_of
from tttnn.resume import Stop, identity, note_beside, partial_output
from tttnn.retrieval.rows import Rows, RowWriter
from tttnn.retrieval.tensors import save_tensors
from tttnn.sections.embed import Embed
from tttnn.sections.pooling import Pooling
from tttnn.tables import check_table, table_digest

SORTED_AT_ONCE = 4096  # texts whose lengths are compared, so that a batch holds equal lengths
PADDED = 0.1  # of a batch's width that the shortest of its texts may lack
SAVE_SECONDS = 30  # at most between two notes of progress, as long as a group takes less


def embed_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    spec: Embed,
    how: Representation = PAPERS,
) -> np.ndarray:
    """Embed `texts`: float32 of shape (texts, hidden size), in their order.

    A text is represented by its first `spec.max_tokens` tokens, special tokens and the prompt of
    `how` included; the paper's mean, which is not normalised, is over all of these. Texts are
    batched by length, so that little is padding, and none is where the model would see it.
    """
    equal = sees_padding(model, tokenizer)
    prompted = [how.prompt + text for text in texts] if how.prompt else texts
    encoded = first_tokens(tokenizer, prompted, spec.max_tokens)
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]), reverse=True)
    vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    autocast = torch.autocast(
        model.device.type, torch.bfloat16, enabled=spec.precision == "bfloat16"
    )
    position = 0
    while position < len(order):
        width = len(encoded[order[position]])
        members = order[position : position + max(1, spec.batch_tokens // width)]
        shortest = width if equal else (1 - PADDED) * width
        members = [member for member in members if len(encoded[member]) >= shortest]
        position += len(members)
        ids = torch.full((len(members), width), tokenizer.pad_token_id)
        mask = torch.zeros(len(members), width)
        for row, member in enumerate(members):
            ids[row, : len(encoded[member])] = torch.tensor(encoded[member])
            mask[row, : len(encoded[member])] = 1
        ids, mask = ids.to(model.device), mask.to(model.device)
        with torch.inference_mode(), autocast:
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = _pooled(hidden.float(), mask, how.pooling)
        if how.normalize:
            pooled = torch.nn.functional.normalize(pooled, dim=1)
        vectors[members] = pooled.cpu().numpy()
    return vectors


def _pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Of token vectors (texts, t, d), padded at their end, and a mask (texts, t): (texts, d)."""
    weights = mask.unsqueeze(-1)
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[torch.arange(len(hidden)), mask.sum(1).long() - 1]
    if pooling == "max":
        return hidden.masked_fill(weights == 0, -torch.inf).amax(1)
    return (hidden * weights).sum(1) / weights.sum(1)


def _texts(paths: Iterable[Path], column: str) -> Iterator[tuple[str, int, str]]:
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(1024, columns=[column, "text"]):
            ids, texts = (values.to_pylist() for values in batch.columns)
            yield from zip([str(path)] * len(ids), ids, texts, strict=True)


class _Progress(NamedTuple):
    """What an earlier attempt left: how many rows are done, and what they were made with."""

    done: int
    environments: list[Environment]


def _kept(partial: Path, made_from: str, shape: tuple[int, int], dtype: str) -> _Progress | None:
    """What can be gone on with: vectors of the same inputs, settings and code, undamaged.

    What cannot is told on stderr, and done again.
    """
    if not (partial.is_file() and note_beside(partial).is_file()):
        return None
    try:
        note = read_record(note_beside(partial))
        if note["made_from"] != made_from:
            return None
        progress = _Progress(note["done"], note["environments"])
        with RowWriter(partial, shape, dtype, anew=False):
            rows = Rows(partial)
        for first in range(0, progress.done, SORTED_AT_ONCE):
            rows[first : min(progress.done, first + SORTED_AT_ONCE)]
    except DamagedError as error:
        print(f"half-done work is thrown away and done again: {error}", file=sys.stderr)
        return None
    return progress


def _save(writer: RowWriter, partial: Path, made_from: str, progress: _Progress) -> None:
    writer.save()
    write_record(note_beside(partial), {"made_from": made_from, **progress._asdict()})


class _Embedded(NamedTuple):
    """Vectors in a partial file, whole but for its name."""

    path: Path
    shape: tuple[int, int]
    embedder: str  # digest of its manifest
    environments: list[Environment]
    representation: Representation

    def take(self, output: Path) -> None:
        """Give the file its name."""
        put(self.path, output)
        self.done(output)

    def done(self, output: Path) -> None:
        """Remove what served going on."""
        self.path.unlink(missing_ok=True)
        note_beside(self.path).unlink(missing_ok=True)
        print(f"{output}: {self.shape[0]} texts, {self.shape[1]} dimensions", file=sys.stderr)


def _embed_files(
    spec: Embed, inputs: list[Path], column: str, model: Path, output: Path
) -> _Embedded:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    check_model(model)
    for path in inputs:
        check_table(path)
    encoder, tokenizer = load_encoder(model, device=device)
    how = representation_of(model)
    choose_window(encoder, spec.max_tokens, "embed.max_tokens", tokenizer)
    print(f"{model}: a text's vector is {how}", file=sys.stderr)
    total = sum(pq.ParquetFile(path).metadata.num_rows for path in inputs)
    shape = (total, encoder.config.hidden_size)
    made_from = identity([__name__], [spec.model_dump_json()], [model / "manifest.json", *inputs])
    partial = partial_output(output)
    partial.parent.mkdir(parents=True, exist_ok=True)
    kept = _kept(partial, made_from, shape, spec.dtype)
    if kept is None:
        note_beside(partial).unlink(missing_ok=True)
    else:
        print(f"going on after {kept.done} of {total} texts", file=sys.stderr)
    row = kept.done if kept else 0
    mine = environment(device, spec.precision)
    environments = distinct([*(kept.environments if kept else []), mine])
    saved = time.monotonic()
    texts = islice(_texts(inputs, column), row, None)
    progress = tqdm(
        total=total, initial=row, desc=f"embed {output.stem}", unit="text", mininterval=5
    )
    writing = RowWriter(partial, shape, spec.dtype, anew=kept is None)
    with writing as writer, progress, Stop() as stop:
        while group := list(islice(texts, SORTED_AT_ONCE)):
            block = embed_texts(encoder, tokenizer, [text for _, _, text in group], spec, how)
            block = block.astype(spec.dtype)  # before the check: float16 may overflow
            bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if len(bad):
                file, text_id, _ = group[bad[0]]
                raise ValueError(
                    f"{file}: {column} {text_id} has an embedding that is not finite ({len(bad)} "
                    f"in this batch): check the weights in {model}, or set embed.precision: float32"
                )
            writer.write(row, block)
            row += len(block)
            progress.update(len(block))
            if stop and row < total:
                _save(writer, partial, made_from, _Progress(row, environments))
                stop.leave(f"{row} of {total} texts")
            if time.monotonic() - saved > SAVE_SECONDS:
                _save(writer, partial, made_from, _Progress(row, environments))
                saved = time.monotonic()
    return _Embedded(partial, shape, sha256(model / "manifest.json"), environments, how)


def embed_chunk(spec: Embed, passages: Path, model: Path, output: Path, manifest: Path) -> None:
    """Embed the passages of one chunk: `output` is an npy of shape (rows of `passages`, d).

    `manifest`, beside it, has its rows, dimension, dtype and SHA-256, the digests of the passages
    (`tttnn.tables.table_digest`) and of the embedder's manifest, and what it was made with.
    """
    embedded = _embed_files(spec, [passages], "passage_id", model, output)
    rows, dimension = embedded.shape
    values = {
        "rows": rows,
        "dimension": dimension,
        "dtype": spec.dtype,
        "sha256": sha256(embedded.path),
        "passages": table_digest(passages),
        "embedder": embedded.embedder,
        "environments": embedded.environments,
        "representation": embedded.representation.model_dump(),
    }
    manifest.unlink(missing_ok=True)
    embedded.take(output)
    write_record(manifest, values)


def embed_queries(spec: Embed, queries: list[Path], model: Path, output: Path) -> None:
    """Embed the queries of all tasks, file after file.

    `output` is safetensors: `query_id`, int64 of shape (queries,), and `vectors` of (queries, d).
    """
    embedded = _embed_files(spec, queries, "query_id", model, output)
    ids = [pq.read_table(path, columns=["query_id"])["query_id"].to_numpy() for path in queries]
    tensors = {"query_id": np.concatenate(ids), "vectors": Rows(embedded.path)[:]}
    said = {"embedder": embedded.embedder, "environments": embedded.environments}
    save_tensors(output, tensors, said)
    embedded.done(output)
