"""Take published vectors for a shard's, once they are found to be those of its passages.

Rows are counted, and a sample of passages, spread over the whole shard, is embedded again. How far
apart two vectors of one text may be is said in parts of the median distance between the vectors of
two texts of the sample, because the vectors of an encoder mostly point one way: distances between
texts are a small part of their length, and are what search works with.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tttnn.corpus.passages import PassageStore
from tttnn.digests import DamagedError, check_model, read_record, write_record
from tttnn.files import sha256
from tttnn.models.folder import choose_window, load_encoder
from tttnn.models.representation import representation_of
from tttnn.retrieval.embed import embed_texts
from tttnn.retrieval.published import DTYPE, Header, PublishedRows, digests, read_header
from tttnn.sections.embeddings import Adopt
from tttnn.tables import open_table, table_digest

SEED = 1216
SHIFTS = 16  # rows before and behind where a passage's vector is looked for


class _Sample(NamedTuple):
    """Some passages of a shard: their rows in it, and vectors (n, d) made anew."""

    rows: np.ndarray
    vectors: np.ndarray

    def scale(self) -> float:
        """The median distance between two texts' vectors; their length where there is none."""
        first, second = np.triu_indices(len(self.rows), 1)
        between = np.linalg.norm(self.vectors[first] - self.vectors[second], axis=1)
        lengths = np.linalg.norm(self.vectors, axis=1)
        return float(np.median(between if between.any() else lengths))

    def apart(self, others: np.ndarray) -> np.ndarray:
        """How far each is from another vector, in parts of `scale`; (n,)."""
        return np.linalg.norm(self.vectors - others.astype(np.float64), axis=1) / self.scale()


def _skipped(rejected: Path, manifest: Path) -> list[int]:
    """The lines, from 0, that were left out of the shard; raises `DamagedError`."""
    counts = read_record(manifest)["rejected"]
    try:
        lines = [json.loads(line)["line"] - 1 for line in rejected.read_bytes().splitlines()]
        ok = len(lines) == sum(counts.values()) and lines == sorted(set(lines))
    except (ValueError, KeyError, TypeError):
        ok = False
    if not ok:
        raise DamagedError(
            f"{rejected} does not list the {sum(counts.values())} records that {manifest} counts: "
            "remove both and run again"
        )
    return lines


def _check_counts(published: Path, header: Header, rows: int, skipped: int) -> None:
    if header.rows == rows + skipped:
        return
    left_out = f" and {skipped} left out" if skipped else ""
    raise DamagedError(
        f"{published} has {header.rows} vectors, its shard {rows} passages{left_out}: a vector is "
        "that of a line, so the file is of another shard, or the corpus is not the one that was "
        "embedded: correct embeddings.published, or choose by corpus.source the Pile as it was"
    )


def _drawn(total: int, count: int) -> np.ndarray:
    """Rows of as many parts of a shard, one of each, the first and the last among them."""
    bounds = np.linspace(0, total, min(count, total) + 1).astype(np.int64)
    rows = np.random.default_rng(SEED).integers(bounds[:-1], bounds[1:])
    rows[0], rows[-1] = 0, total - 1
    return rows


def _embedded(
    spec: Adopt,
    published: Path,
    dimension: int,
    passages: list[Path],
    rows: np.ndarray,
    model: Path,
) -> _Sample:
    """The passages at these rows of a shard, embedded again."""
    check_model(model)
    encoder, tokenizer = load_encoder(model)
    choose_window(encoder, spec.embed.max_tokens, "embed.max_tokens", tokenizer)
    if encoder.config.hidden_size != dimension:
        raise DamagedError(
            f"{published} has vectors of {dimension} dimensions, {model} makes "
            f"{encoder.config.hidden_size}: the file is of another embedder: correct "
            "embeddings.published, or the model's entry"
        )
    tables = [table for path in passages if (table := open_table(path).metadata).num_rows]
    first = tables[0].row_group(0).column(0).statistics.min
    ids = (first + rows).tolist()
    texts = PassageStore(passages).fetch(ids)
    how = representation_of(model)
    vectors = embed_texts(encoder, tokenizer, [texts[each][0] for each in ids], spec.embed, how)
    return _Sample(rows, vectors.astype(np.float64))


def _check_sample(spec: Adopt, vectors: PublishedRows, sample: _Sample) -> float:
    """How far the farthest is; raises `DamagedError` where that is too far, saying why."""
    apart = sample.apart(vectors[sample.rows])
    wrong = np.flatnonzero(~(apart <= spec.tolerance))
    if not len(wrong):
        return float(apart.max())
    row = sample.rows[wrong[0]]
    why = _shift(spec, vectors, sample, wrong) or _elsewhere(spec, vectors, sample)
    why = why or (
        "the file is of another shard, or of another embedder or number of tokens: correct "
        "embeddings.published; if it is neither, raise embeddings.tolerance"
    )
    raise DamagedError(
        f"{vectors.path}: of {len(sample.rows)} passages that were embedded again {len(wrong)} "
        f"have another vector, the first in row {row} ({apart[wrong[0]]:.3g} of the distance "
        f"between two texts, at most {spec.tolerance} is allowed): {why}"
    )


def _most(near: np.ndarray) -> bool:
    return bool(near.mean() > 0.5)


def _shift(spec: Adopt, vectors: PublishedRows, sample: _Sample, wrong: np.ndarray) -> str | None:
    """By how much the rows of those that do not fit are shifted, if they are."""
    for by in sorted(range(-SHIFTS, SHIFTS + 1), key=abs)[1:]:
        rows = sample.rows[wrong] + by
        inside = (rows >= 0) & (rows < len(vectors))
        others = np.full_like(sample.vectors, np.nan)
        others[wrong[inside]] = vectors[rows[inside]]
        if inside.any() and _most(sample.apart(others)[wrong[inside]] <= spec.tolerance):
            return (
                f"from there on, rows are shifted by {abs(by)}: a passage's vector stands that "
                f"many rows {'later' if by > 0 else 'earlier'}. The shard has lost or gained lines "
                "since it was embedded: take the Pile as it was by corpus.source, or the right file"
            )
    return None


def _elsewhere(spec: Adopt, vectors: PublishedRows, sample: _Sample) -> str | None:
    """The file in the same folder that has these passages' vectors, if there is one."""
    for path in sorted(vectors.path.parent.glob("*.jsonl.index")):
        try:
            header = read_header(path)
        except DamagedError:
            continue
        if path == vectors.path or header.dimension != vectors.shape[1]:
            continue
        rows = vectors.lines(sample.rows)
        inside = rows < header.rows
        others = np.full_like(sample.vectors, np.nan)
        others[inside] = PublishedRows(path, header, 0, header.rows)[rows[inside]]
        if inside.any() and _most(sample.apart(others)[inside] <= spec.tolerance):
            return f"the file is of another shard, and {path} is this one's: give them their names"
    return None


def adopt_embeddings(
    spec: Adopt,
    published: Path,
    passages: list[Path],
    corpus: Path,
    rejected: Path,
    model: Path,
    output: Path,
) -> None:
    """Write the list of a shard's chunks whose vectors are rows of a published file, in place.

    `output` is `embeddings/{embedder}/{shard}.json`, as `tttnn.retrieval.vectors.list_embeddings`
    writes it of vectors that were made here, and names the file by its absolute path. `corpus` and
    `rejected` are the shard's manifest and the records left out of it, whose rows are passed over.
    `model` is the embedder.

    Raises `DamagedError` where the file is cut, of another type, metric, dimension or number of
    rows, or where a passage of the sample has another vector there.
    """
    header, skipped = read_header(published), _skipped(rejected, corpus)
    chunks = [open_table(path).metadata.num_rows for path in passages]
    total = sum(chunks)
    _check_counts(published, header, total, len(skipped))
    if total:
        vectors = PublishedRows(published, header, 0, total, skipped)
        rows = _drawn(total, spec.sample)
        sample = _embedded(spec, published, header.dimension, passages, rows, model)
        farthest = _check_sample(spec, vectors, sample)
        print(
            f"{published}: {len(rows)} of {total} passages embedded again, at most {farthest:.3g} "
            "of the distance between two texts apart",
            file=sys.stderr,
        )
    said = {"file": str(published.absolute()), **digests(published), "skipped": skipped}
    same = {
        "dimension": header.dimension,
        "dtype": DTYPE.name,
        # of which vectors there are and of which lines they are, as a chunk's own digest is
        "sha256": hashlib.sha256(f"{said['sha256']} {skipped}".encode()).hexdigest(),
        "embedder": sha256(model / "manifest.json"),
        "environments": [],  # those of whoever published them, which are not known
    }
    root = output.absolute().parents[2]
    listed = [
        {
            "file": str(path.absolute().relative_to(root)),
            "manifest": {"rows": count, "passages": table_digest(path), **same},
        }
        for path, count in zip(passages, chunks, strict=True)
    ]
    write_record(output, {"published": said, "chunks": listed})
