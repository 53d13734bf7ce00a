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
    SHRUNK,
    START,
    START_TORCH,
    TOKEN_BYTES,
    TORCH,
)
from tttnn.needs.scale import Formula, Scale
from tttnn.needs.shapes import LIVE, activations
from tttnn.sections.index import Index
from tttnn.sections.kinds import INDEXES
from tttnn.sections.memory import room
from tttnn.sections.search import RANDOM

# What stages have in memory at once, by their own names; a test holds them equal.
SORTED_AT_ONCE = 4096  # texts: tttnn.retrieval.embed
BLOCK = 65536  # vectors: tttnn.retrieval.vectors
SPARE = 32  # candidates beyond K: tttnn.retrieval.approximate
GROUP_BYTES, VECTOR_BYTES = 128, 24  # of a candidate, its vector: tttnn.retrieval.candidates
CENTER_OF = 4096  # vectors: tttnn.retrieval.chosen
DISTANCE_COPIES = 3  # tttnn.retrieval.distances
GATHERED_AT_ONCE = 512  # queries with their neighbours' texts: tttnn.retrieval.gather,
GATHERED_TEXT = 1 << 26  # if they are no more than so many bytes
COPIED_AT_ONCE, COPIED_TEXT = 64, 1 << 20  # texts of a task, and bytes: tttnn.retrieval.texts
ROW_GROUP = 256  # passages, read together: tttnn.corpus.passages
WINDOW_ROWS, WINDOW_BYTES = 16384, 32  # passages, and bytes of a number: ...search_windows
WORDS_AT_ONCE, WORD_BYTES = 4096, 256  # passages, and bytes of a word of theirs: ...words

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
GATHERED_BYTES = 500e6  # of passages a second, found and decompressed: assumed
MEASURED_BYTES = 50e6  # of neighbours a second, how alike they are to their query: measured
WANTED_ID = 8  # bytes of a passage's id,
COPIED_IDS = 48  # and of what is sorted with it: assumed
QUERY_WORD = 64  # bytes of a query's word: as text, in the list of all, as a number: assumed
WINDOWS_RANKED = 1e8  # passages a second that are compared with the best of a query: assumed
WORDS_BYTES = 5e6  # of text a second, in words that are looked up: assumed
WORDS_SCORED = 2e9  # words of queries times passages a second: assumed
RECORD_DISK = 200  # bytes of a file's entry in a list
COPIED = 3  # copies of a row group: as read, chosen, in Python's strings
GATHERED = 4  # copies of neighbours' texts: as found, in columns, in words: assumed


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


def _in_parts(scale: Scale, source: str, **more: float) -> Need:
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
    return _in_parts(scale, "all codes read three times", memory=data, least=data, seconds=seconds)


def _of_queries(candidates: float, dimension: int) -> float:
    """Bytes of a query: its vector, and its candidates as they are found."""
    return 2 * FLOAT * dimension + GROUP_BYTES * candidates


def _ranked(scale: Scale, candidates: float, dimension: int) -> tuple[float, float]:
    """Bytes of the vectors of some queries' candidates, and of one query's."""
    one = VECTOR_BYTES * dimension * candidates
    return min(AT_ONCE, scale.queries) * one, one


def search_shard(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    candidates, d = scale.search.candidates, vectors.dimension
    need = needs.search(spec, vectors, scale.queries)
    ranked, one = _ranked(scale, candidates + SPARE, d)
    return bounded(
        scale,
        need,
        memory=2 * scale.queries * _of_queries(candidates + SPARE, d) + 4 * ranked,
        least=4 * (one + _of_queries(candidates + SPARE, d)),
        seconds=scale.queries * (candidates + SPARE) * d * vectors.number / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def merge_candidates(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Some queries of a task at a time, of one shard after the other."""
    candidates = scale.search.candidates
    pairs = scale.queries * candidates * len(scale.shards)
    return _in_parts(
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
    ranked, one = _ranked(scale, candidates + SPARE, d)
    block = 16 * d * min(BLOCK, vectors.file_rows)
    cpu = SEARCH_THREADS * DISTANCES
    return _in_parts(
        scale,
        "all vectors read three times",
        imports=PANDAS,
        memory=2 * (checked * _of_queries(candidates + SPARE, d) + ranked + block) + DIGESTED,
        least=4 * (one + _of_queries(candidates + SPARE, d)) + DIGESTED,
        seconds=vectors.all * d * (3 * vectors.number / DISK + 2 * checked / cpu),
        disk=RECALL_DISK,
    )


def choose_neighbors(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    chosen = scale.selections[wildcards["selection"]]
    d, candidates = scale.dimension(chosen.index), scale.search.candidates
    each = candidates * (2 * VECTOR_BYTES * d + GROUP_BYTES)
    center = 3 * FLOAT * d * CENTER_OF
    return _in_parts(
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
    ranked, one = _ranked(scale, candidates, d)
    return _in_parts(
        scale,
        "vectors fetched by id",
        memory=2 * (scale.task_queries * _of_queries(candidates, d) + ranked),
        least=2 * (_of_queries(candidates, d) + one),
        seconds=scale.queries * candidates * d * DOUBLE / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def _words(scale: Scale, wildcards: Mapping[str, str]) -> tuple[float, float]:
    """Bytes of the queries' words, and of the words of a block of passages while it is counted."""
    most = scale.lexical[wildcards["lexical"]].max_words
    return QUERY_WORD * scale.queries * most, WORD_BYTES * most


def count_words(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    asked, word = _words(scale, wildcards)
    memory = PYTHON + asked + word * min(WORDS_AT_ONCE, scale.passages)
    seconds = START + scale.passages * scale.passage_bytes / WORDS_BYTES
    return Need(memory, seconds, DOUBLE * asked / QUERY_WORD, "5 MB of text a second")


def search_words(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Every query is scored against every passage, word for word."""
    asked, word = _words(scale, wildcards)
    held = 2 * DOUBLE * scale.queries * scale.search.candidates
    pairs = scale.queries * scale.passages
    return _in_parts(
        scale,
        "a word of a query in a tenth of the passages",
        memory=asked + held + 2 * word * min(WORDS_AT_ONCE, scale.passages),
        least=asked + held + 2 * word,
        seconds=scale.passages * scale.passage_bytes / WORDS_BYTES
        + pairs * scale.lexical[wildcards["lexical"]].max_words / WORDS_SCORED,
        disk=PAIR_DISK * scale.queries * scale.search.candidates,
    )


def merge_scored(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Some queries of a task at a time, of all shards."""
    d, candidates = scale.dimension(wildcards["scored"]), scale.search.candidates
    found = _of_queries(candidates * len(scale.shards), d)
    ranked, one = _ranked(scale, candidates, d)
    return _in_parts(
        scale,
        "vectors fetched by id",
        memory=2 * (scale.task_queries * found + ranked),
        least=2 * (found + one),
        seconds=scale.queries * candidates * d * DOUBLE / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def embed_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As many texts, and all their vectors in memory."""
    need = _embed(scale, wildcards["embedder"], scale.query_windows)
    return need._replace(memory=need.memory + 2 * need.disk)


def search_windows(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """Every window's product with every passage, in float64, one document after the other."""
    d, candidates = scale.dimension(wildcards["windowed"]), scale.search.candidates
    held = 2 * DOUBLE * scale.queries * candidates
    rows = min(WINDOW_ROWS, scale.passages)
    products = scale.query_windows * scale.passages * d
    return _in_parts(
        scale,
        "a shard's vectors read once",
        memory=held + 2 * WINDOW_BYTES * d * rows,
        least=held + 2 * WINDOW_BYTES * d,
        seconds=FLOAT * d * scale.passages / DISK
        + 2 * products / DISTANCES
        + scale.queries * scale.passages / WINDOWS_RANKED,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def pool_candidates(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """As drawn ones, and a task's candidates of every source as ids."""
    pool = scale.pools[wildcards["pool"]]
    d, candidates = scale.dimension(wildcards["pool"]), scale.search.candidates
    ranked, one = _ranked(scale, candidates, d)
    ids = 2 * DOUBLE * (len(pool.sources) + 1) * scale.task_queries * candidates
    return _in_parts(
        scale,
        "vectors fetched by id",
        memory=ids + 2 * (scale.task_queries * _of_queries(candidates, d) + ranked),
        least=ids + 2 * (_of_queries(candidates, d) + one),
        seconds=scale.queries * candidates * d * DOUBLE / DISK,
        disk=PAIR_DISK * scale.queries * candidates,
    )


def measure_distances(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    """All queries' distances at one rank, or at more."""
    rank = DISTANCE_COPIES * DOUBLE * scale.queries
    rows = len(scale.built_indexes) * scale.queries * scale.search.candidates
    return _in_parts(
        scale,
        "rows",
        imports=PANDAS,
        memory=rank * scale.search.candidates,
        least=rank,
        seconds=START + 2 * rows / ROWS_A_SECOND,
        disk=ROW_DISK * rows / PARQUET,
    )


def _neighbor_bytes(scale: Scale, task: str, is_random: bool) -> float:
    """Text of a neighbour: as long as the task's documents, unless it is drawn."""
    size = scale.texts.document_bytes[task]
    if is_random:
        size = scale.texts.bytes / scale.texts.documents
    if scale.chunk.unit == "window":
        size = min(size, scale.chunk.window_tokens * TOKEN_BYTES)
    return size


def _sets(scale: Scale) -> list[tuple[str, str]]:
    """Candidates and task of all that is gathered."""
    ways = ((scale.methods[method].candidates, task) for _, method, task in scale.cells)
    return list(dict.fromkeys((way, task) for way, task in ways if way is not None))


def want_texts(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    sets, depth, candidates = _sets(scale), scale.gather.depth, scale.search.candidates
    queries: dict[str, float] = {}
    for _, task in sets:
        queries[task] = queries.get(task, 0.0) + scale.texts.selected[task]
    rows = sum(queries.values())
    most = max(scale.texts.selected.values(), default=0.0) * candidates
    wanted = 2 * WANTED_ID * depth * max(queries.values(), default=0.0)
    memory = PYTHON + GROUP_BYTES * most + wanted
    seconds = START + rows * candidates / ROWS_A_SECOND
    return Need(memory, seconds, FLOAT * rows * depth, "rows of candidates")


def collect_texts(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    sets, depth, shards = _sets(scale), scale.gather.depth, len(scale.shards)
    texts = {
        cell: scale.texts.selected[cell[1]] * depth / shards for cell in sets
    }  # as if no two had one in common
    size = sum(
        count * _neighbor_bytes(scale, task, way == RANDOM) for (way, task), count in texts.items()
    )
    ids = sum(texts.values())
    group = ROW_GROUP * scale.passage_bytes
    tasks = len({task for _, task in sets})
    held = tasks * max(COPIED_TEXT, scale.passage_bytes)
    read = min(scale.passages, ROW_GROUP * ids) * scale.passage_bytes
    memory = PYTHON + COPIED_IDS * ids + COPIED * group + 2 * held
    return Need(memory, START + read / GATHERED_BYTES, size / SHRUNK, "500 MB of text a second")


def list_texts(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    return Need(PYTHON, START, RECORD_DISK * len(scale.shards), "a record")


def gather_neighbors(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    task, depth = wildcards["task"], scale.gather.depth
    size, queries = (
        _neighbor_bytes(scale, task, wildcards["candidates"] == RANDOM),
        scale.texts.selected[task],
    )
    at_once = max(size, min(GATHERED_TEXT, min(GATHERED_AT_ONCE, queries) * depth * size))
    text = queries * depth * size
    seconds = START + ROW_GROUP * text / GATHERED_BYTES + text / MEASURED_BYTES  # without copies
    source = "500 MB of text a second"
    copies = sum(task == other for _, other in _sets(scale))  # of other sets, too
    memory = PYTHON + GATHERED * at_once + COPIED_IDS * queries * depth * max(1, copies)
    return Need(memory, seconds, text / SHRUNK, source)


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
    "count_words": count_words,
    "search_words": search_words,
    "merge_scored": merge_scored,
    "embed_windows": embed_windows,
    "search_windows": search_windows,
    "choose_windows": choose_windows,
    "pool_candidates": pool_candidates,
    "choose_neighbors": choose_neighbors,
    "draw_random": draw_random,
    "measure_distances": measure_distances,
    "want_texts": want_texts,
    "collect_texts": collect_texts,
    "list_texts": list_texts,
    "gather_neighbors": gather_neighbors,
}
"""By rule."""
