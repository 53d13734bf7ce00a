"""What it takes to embed, to index, and to find neighbours.

What depends on the type of index stands in the type's own `needs` (see `tttnn.needs.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from tttnn.needs.kinds import SEARCH_THREADS, Vectors, load
from tttnn.needs.need import Need
from tttnn.needs.rates import (
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
from tttnn.sections.search import RANDOM

# What stages have in memory at once, by their own names; a test holds them equal.
SORTED_AT_ONCE = 4096  # texts: tttnn.retrieval.embed
BLOCK = 65536  # vectors: tttnn.retrieval.vectors
SPARE = 32  # candidates beyond K: tttnn.retrieval.search
QUERIES_AT_ONCE = 256  # with their candidates' vectors: tttnn.retrieval.candidates
GATHERED_AT_ONCE = 512  # queries with their neighbours' texts: tttnn.retrieval.gather,
GATHERED_TEXT = 1 << 26  # if they are no more than so many bytes
COPIED_AT_ONCE, COPIED_TEXT = 64, 1 << 20  # texts of a task, and bytes: tttnn.retrieval.texts
ROW_GROUP = 256  # passages, read together: tttnn.corpus.passages

ENCODED = 56  # a byte of text in tokenizers' hands, cut off or not: measured, 4,096 texts at once
DOUBLE = 8  # bytes
LOADED = 2  # copies of the weights while they are read

# Bytes for each passage of the corpus: its id, as what is compared, joined, sorted and kept of it.
# Measured by benchmarks/memory.py; those of an index of a share of the passages are drawn by ids.
SORTED_IDS, SORTED_IDS_OF_SHARE = 33, 43  # merge_index
COUNTED_IDS, COUNTED_IDS_OF_SHARE = 17, 33  # search_index
KEPT_IDS = 8  # of those that a search counted: freed, and not given back to the system
DRAWN_IDS = 16  # draw_random

PAIR = 24  # bytes of a query and a candidate, found and ranked
PAIR_IN_PANDAS = 2 * 28  # a row of the candidates' table, in its parts and joined
PAIR_DISK = 12  # bytes in a table of candidates: assumed
ROW_IN_PANDAS = 100  # bytes of a distance with its names: assumed
ROW_DISK = 20
ROWS_A_SECOND = 2e6  # of distances: assumed
CHOOSING = 0.003  # seconds a query: docs/performance.md, SIFT and HullFT
RECALL_DISK = 1e3
GATHERED_BYTES = 500e6  # of passages a second, found and decompressed: assumed
MEASURED_BYTES = 50e6  # of neighbours a second, how alike they are to their query: measured
WANTED_ID = 8  # bytes of a passage's id,
COPIED_IDS = 48  # and of what is sorted with it: assumed
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


def _index(scale: Scale, name: str) -> tuple[Index, Vectors, ModuleType]:
    """The index's settings, the vectors it is built of, and what its type needs."""
    spec, rows = scale.indexes[name], scale.passages
    file_rows = rows / scale.chunk.chunks_per_shard
    vectors = Vectors(len(scale.shards), rows, file_rows, scale.dimension(name))
    return spec, vectors, load(INDEXES, spec.kind)


def _more(need: Need, memory: float = 0, seconds: float = 0) -> Need:
    """A type's need, with what every type needs."""
    return need._replace(
        memory=PYTHON + memory + need.memory, seconds=START + seconds + need.seconds
    )


def train_shard_index(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    return _more(needs.learn(spec, vectors))


def merge_training(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    return _more(needs.merge_learnt(spec, vectors))


def fill_shard_index(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    block = FLOAT * vectors.dimension * min(BLOCK, vectors.file_rows)
    return _more(needs.fill(spec, vectors), memory=2 * block)  # as read, and what is kept of it


def merge_index(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    ids = SORTED_IDS if spec.share == 1 else SORTED_IDS_OF_SHARE
    return _more(needs.merge(spec, vectors), memory=ids * vectors.all)


def _exact_distances(
    scale: Scale, dimension: int, queries: float, candidates: int
) -> tuple[float, float]:
    """Memory and seconds of the candidates' distances in float64."""
    pairs = queries * candidates
    block = DOUBLE * dimension * candidates * min(QUERIES_AT_ONCE, queries)
    # vectors by id, by query, and less the query's
    return 3 * block + PAIR * pairs, pairs * dimension * DOUBLE / DISK


def search_index(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    spec, vectors, needs = _index(scale, wildcards["index"])
    candidates, d = scale.search.candidates, vectors.dimension
    need = needs.search(spec, vectors, scale.queries)
    ranked, seconds = _exact_distances(scale, d, scale.queries, candidates + SPARE)
    counted = (COUNTED_IDS if spec.share == 1 else COUNTED_IDS_OF_SHARE) * vectors.all
    kept = KEPT_IDS * vectors.all
    # ids are counted before the index is opened
    memory = FLOAT * d * scale.queries + max(counted - need.memory, kept + ranked)
    need = need._replace(disk=PAIR_DISK * scale.queries * candidates)
    return _more(need, memory=memory, seconds=seconds)


def measure_recall(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    _, vectors, _ = _index(scale, wildcards["index"])
    d, candidates = vectors.dimension, scale.search.candidates
    checked = min(scale.search.recall_queries, scale.queries)
    ranked, _ = _exact_distances(scale, d, checked, candidates + SPARE)
    memory = PYTHON + PANDAS + ranked + PAIR_IN_PANDAS * scale.queries * candidates
    memory += FLOAT * d * (scale.queries + 2 * min(BLOCK, vectors.file_rows))
    seconds = START + vectors.all * d * (FLOAT / DISK + checked / (SEARCH_THREADS * DISTANCES))
    return Need(memory, seconds, RECALL_DISK, "all vectors read once")


def choose_neighbors(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    chosen = scale.selections[wildcards["selection"]]
    d = scale.dimension(chosen.index)
    memory, seconds = _exact_distances(scale, d, scale.queries, scale.search.candidates)
    seconds += START + scale.queries * CHOOSING
    disk = PAIR_DISK * scale.queries * chosen.picks
    return Need(PYTHON + memory, seconds, disk, "vectors fetched by id")


def draw_random(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    d, candidates = scale.shapes[scale.embedders[0]].width, scale.search.candidates
    memory, seconds = _exact_distances(scale, d, scale.queries, candidates)
    memory += PYTHON + DRAWN_IDS * scale.all_passages
    disk = PAIR_DISK * scale.queries * candidates
    return Need(memory, START + seconds, disk, "vectors fetched by id")


def measure_distances(scale: Scale, wildcards: Mapping[str, str]) -> Need:
    rows = len(scale.built_indexes) * scale.queries * scale.search.candidates
    memory = PYTHON + PANDAS + ROW_IN_PANDAS * rows
    return Need(memory, 2 * START + rows / ROWS_A_SECOND, ROW_DISK * rows / PARQUET, "rows")


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
    memory = PYTHON + PAIR * most + 2 * WANTED_ID * depth * max(queries.values(), default=0.0)
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
    "train_shard_index": train_shard_index,
    "merge_training": merge_training,
    "fill_shard_index": fill_shard_index,
    "merge_index": merge_index,
    "search_index": search_index,
    "measure_recall": measure_recall,
    "choose_neighbors": choose_neighbors,
    "draw_random": draw_random,
    "measure_distances": measure_distances,
    "want_texts": want_texts,
    "collect_texts": collect_texts,
    "list_texts": list_texts,
    "gather_neighbors": gather_neighbors,
}
"""By rule."""
