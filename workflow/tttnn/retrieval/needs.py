"""What it takes to embed, to index, and to find neighbours.

What depends on the type of index stands in the type's own `needs` (see `tttnn.needs.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from tttnn.needs.kinds import SEARCH_THREADS, Vectors, load
from tttnn.needs.need import Need
from tttnn.needs.rates import (
    CHOOSING,
    CPU,
    DISK,
    DISTANCES,
    FLOAT,
    PANDAS,
    PARQUET,
    PYTHON,
    START,
    START_TORCH,
    TORCH,
)
from tttnn.needs.scale import Formula, Scale
from tttnn.needs.shapes import LIVE, activations
from tttnn.sections.index import Index
from tttnn.sections.kinds import INDEXES
from tttnn.sections.memory import room

# What stages have in memory at once, by their own names; a test holds them equal.
SORTED_AT_ONCE = 4096  # texts: tttnn.retrieval.embed
BLOCK = 65536  # vectors: tttnn.retrieval.vectors
SPARE = 32  # candidates beyond K: tttnn.retrieval.approximate
GROUP_BYTES, VECTOR_BYTES = 128, 24  # of a candidate, its vector: tttnn.retrieval.candidates
CENTER_OF = 4096  # vectors: tttnn.retrieval.chosen
DISTANCE_COPIES = 3  # tttnn.retrieval.distances

AT_ONCE = 256  # queries whose candidates' vectors are in memory, if there is room: more is no gain
DIGESTED = 8 * 16 * 2**20  # bytes: blocks that are compared side by side (tttnn.digests)

ENCODED = 56  # a byte of text in tokenizers' hands, cut off or not: measured, 4,096 texts at once
DOUBLE = 8  # bytes
LOADED = 2  # copies of the weights while they are read

PAIR_DISK = 12  # bytes in a table of candidates: assumed
ROW_DISK = 20
ROWS_A_SECOND = 2e6  # of distances: assumed
RECALL_DISK = 1e3
LIST_DISK = 500  # bytes of a chunk in a shard's list
HASHED = 1e9  # bytes a second that get two digests, by the instructions for SHA-256: measured
HASHED_BLOCK, HASH_DISK = 1 << 24, 80  # bytes with a digest of their own, and of that in a list
FILE_SECONDS = 0.01  # to look at a chunk: assumed


def _embed(scale: Scale, embedder: str, rows: float) -> Need:
    size, embed, tokens = scale.shapes[embedder], scale.embed, scale.passage_tokens
    work = rows * tokens * size.forward(tokens, logits=False)
    memory = TORCH + LOADED * size.weights
    memory += ENCODED * min(rows, SORTED_AT_ONCE) * scale.passage_bytes
    batch = min(embed.batch_tokens, rows * tokens)
    if not scale.on_gpu:  # and as many scores of attention for each token that one may look at
        memory += FLOAT * batch * LIVE * (embed.max_tokens + size.width)
    return Need(
        memory,
        START_TORCH + work / scale.rates.forward,
        rows * size.width * (2 if embed.dtype == "float16" else FLOAT),
        f"2 FLOP a weight, {scale.rates.source}",
        size.weights + activations(size, batch, False),
    )


def embed_chunk(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return _embed(scale, wildcards["embedder"], scale.passages / scale.chunk.chunks_per_shard)


def embed_queries(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return _embed(scale, wildcards["embedder"], scale.queries)


def list_embeddings(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    files = scale.chunk.chunks_per_shard
    return Need(PYTHON, START + FILE_SECONDS * files, LIST_DISK * files, "10 ms a file")


def adopt_embeddings(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """A sample is embedded, on a processor, and the file is read once."""
    size, tokens = scale.shapes[wildcards["embedder"]], scale.passage_tokens
    sample = min(scale.embeddings.sample, scale.passages)
    batch = min(scale.embed.batch_tokens, sample * scale.embed.max_tokens)
    memory = TORCH + LOADED * size.weights + ENCODED * sample * scale.passage_bytes
    memory += FLOAT * batch * LIVE * (scale.embed.max_tokens + size.width)
    file = scale.passages * size.width * FLOAT
    work = sample * tokens * size.forward(tokens, logits=False) / CPU.forward
    return Need(
        memory,
        START_TORCH + work + file / min(DISK, HASHED),
        LIST_DISK * scale.chunk.chunks_per_shard + file / HASHED_BLOCK * HASH_DISK,
        "the file read once, with its SHA-256",
    )


def _index(scale: Scale, name: str) -> tuple[Index, Vectors, ModuleType]:
    """The index's settings, the vectors it is built of, and what its type needs."""
    spec, rows = scale.indexes[name], scale.passages
    file_rows = rows / scale.chunk.chunks_per_shard
    is_half = scale.embed.dtype == "float16" and spec.embedder not in scale.embeddings.published
    number = 2 if is_half else FLOAT
    on_gpu = scale.on_gpu and not spec.LEARNS
    products = scale.rates.forward / 2 if on_gpu else SEARCH_THREADS * DISTANCES
    d = scale.dimension(name)
    vectors = Vectors(len(scale.shards), rows, file_rows, d, number, products)
    return spec, vectors, load(INDEXES, spec.kind)


def bounded(
    scale: Scale, need: Need, *, memory: float = 0, least: float = 0, **more: float
) -> Need:
    """A need, with what every type needs: all data at once if there is room, or else in parts."""
    least += need.least or 0
    data = min(memory + need.memory, max(least, room(scale.memory_mb)))
    return need._replace(
        memory=PYTHON + more.get("imports", 0) + data,
        seconds=START + more.get("seconds", 0) + need.seconds,
        disk=need.disk + more.get("disk", 0),
        least=least,
    )


def in_parts(scale: Scale, source: str, **more: float) -> Need:
    return bounded(scale, Need(0, 0, 0, source), **more)


def train_shard_index(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    return bounded(scale, needs.learn(spec, vectors))


def merge_training(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    return bounded(scale, needs.merge_learnt(spec, vectors))


def fill_shard_index(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    block = 2 * 2 * FLOAT * vectors.dimension * min(BLOCK, vectors.file_rows)
    return bounded(scale, needs.fill(spec, vectors), memory=block)


def merge_index(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """A byte for each passage of a shard, and blocks that are digested; files are linked."""
    _, vectors, needs = _index(scale, wildcards["index"])
    spec = scale.indexes[wildcards["index"]]
    size = needs.fill(spec, vectors).disk
    data = vectors.rows + DIGESTED
    seconds = 3 * vectors.shards * size / DISK
    return in_parts(scale, "all codes read three times", memory=data, least=data, seconds=seconds)


def of_queries(candidates: float, dimension: int) -> float:
    """Bytes of a query: its vector, and its candidates as they are found."""
    return 2 * FLOAT * dimension + GROUP_BYTES * candidates


def ranked_bytes(scale: Scale, candidates: float, dimension: int) -> tuple[float, float]:
    """Bytes of the vectors of some queries' candidates, and of one query's."""
    one = VECTOR_BYTES * dimension * candidates
    return min(AT_ONCE, scale.queries) * one, one


def search_shard(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    candidates, d = scale.search.candidates, vectors.dimension
    need = needs.search(spec, vectors, scale.queries)
    ranked, one = ranked_bytes(scale, candidates + SPARE, d)
    return bounded(
        scale,
        need,
        memory=2 * scale.queries * of_queries(candidates + SPARE, d) + 4 * ranked,
        least=4 * (one + of_queries(candidates + SPARE, d)),
        seconds=scale.queries * (candidates + SPARE) * d * vectors.number / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def merge_candidates(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Some queries of a task at a time, of one shard after the other."""
    candidates = scale.search.candidates
    pairs = scale.queries * candidates * len(scale.shards)
    return in_parts(
        scale,
        "2 million rows a second",
        memory=2 * GROUP_BYTES * scale.task_queries * candidates,
        least=2 * GROUP_BYTES * candidates,
        seconds=pairs / ROWS_A_SECOND,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def measure_recall(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Searched exactly once, then as the index is: in one batch, and one query or more alone."""
    _, vectors, _ = _index(scale, wildcards["index"])
    d, candidates = vectors.dimension, scale.search.candidates
    checked = min(scale.search.recall_queries, scale.queries)
    ranked, one = ranked_bytes(scale, candidates + SPARE, d)
    block = 16 * d * min(BLOCK, vectors.file_rows)
    cpu = SEARCH_THREADS * DISTANCES
    return in_parts(
        scale,
        "all vectors read three times",
        imports=PANDAS,
        memory=2 * (checked * of_queries(candidates + SPARE, d) + ranked + block) + DIGESTED,
        least=4 * (one + of_queries(candidates + SPARE, d)) + DIGESTED,
        seconds=vectors.all * d * (3 * vectors.number / DISK + 2 * checked / cpu),
        disk=RECALL_DISK,
    )


def choose_neighbors(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    chosen = scale.selections[wildcards["selection"]]
    d, candidates = scale.dimension(chosen.index), scale.search.candidates
    each = candidates * (2 * VECTOR_BYTES * d + GROUP_BYTES)
    center = 3 * FLOAT * d * CENTER_OF
    return in_parts(
        scale,
        "vectors fetched by id",
        memory=center + each * min(AT_ONCE, scale.task_queries),
        least=center + each,
        seconds=scale.queries * (CHOOSING + candidates * d * DOUBLE / DISK),
        disk=PAIR_DISK * scale.queries * chosen.picks,
    )


def choose_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As by one vector, with as many more products as there are windows."""
    need = choose_neighbors(scale, wildcards)
    return need._replace(seconds=need.seconds + CHOOSING * scale.query_windows)


def draw_random(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    d, candidates = scale.shapes[scale.embedders[0]].width, scale.search.candidates
    ranked, one = ranked_bytes(scale, candidates, d)
    return in_parts(
        scale,
        "vectors fetched by id",
        memory=2 * (scale.task_queries * of_queries(candidates, d) + ranked),
        least=2 * (of_queries(candidates, d) + one),
        seconds=scale.queries * candidates * d * DOUBLE / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def embed_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As many texts, and all their vectors in memory."""
    need = _embed(scale, wildcards["embedder"], scale.query_windows)
    return need._replace(memory=need.memory + 2 * need.disk)


def measure_distances(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """All queries' distances at one rank, or at more."""
    rank = DISTANCE_COPIES * DOUBLE * scale.queries
    rows = len(scale.built_indexes) * scale.queries * scale.search.candidates
    return in_parts(
        scale,
        "rows",
        imports=PANDAS,
        memory=rank * scale.search.candidates,
        least=rank,
        seconds=START + 2 * rows / ROWS_A_SECOND,
        disk=ROW_DISK * rows / PARQUET,
    )


FORMULAS: dict[str, Formula] = {
    "embed_chunk": embed_chunk,
    "embed_queries": embed_queries,
    "list_embeddings": list_embeddings,
    "adopt_embeddings": adopt_embeddings,
    "train_shard_index": train_shard_index,
    "merge_training": merge_training,
    "fill_shard_index": fill_shard_index,
    "merge_index": merge_index,
    "search_shard": search_shard,
    "merge_candidates": merge_candidates,
    "measure_recall": measure_recall,
    "embed_windows": embed_windows,
    "choose_windows": choose_windows,
    "choose_neighbors": choose_neighbors,
    "draw_random": draw_random,
    "measure_distances": measure_distances,
}
"""By rule."""
