"""What it takes to fetch neighbours' texts."""

from __future__ import annotations

from collections.abc import Mapping

from tttnn.needs.need import Need
from tttnn.needs.rates import FLOAT, PYTHON, SHRUNK, START, TOKEN_BYTES
from tttnn.needs.scale import Formula, Scale
from tttnn.retrieval.needs import GROUP_BYTES, ROWS_A_SECOND
from tttnn.sections.search import RANDOM

# What stages have in memory at once, by their own names; a test holds them equal.
GATHERED_AT_ONCE = 512  # queries with their neighbours' texts: tttnn.retrieval.gather,
GATHERED_TEXT = 1 << 26  # if they are no more than so many bytes
COPIED_AT_ONCE, COPIED_TEXT = 64, 1 << 20  # texts of a task, and bytes: tttnn.retrieval.texts
ROW_GROUP = 256  # passages, read together: tttnn.corpus.passages

GATHERED_BYTES = 500e6  # of passages a second, found and decompressed: assumed
MEASURED_BYTES = 50e6  # of neighbours a second, how alike they are to their query: measured
WANTED_ID = 8  # bytes of a passage's id,
COPIED_IDS = 48  # and of what is sorted with it: assumed
RECORD_DISK = 200  # bytes of a file's entry in a list
COPIED = 3  # copies of a row group: as read, chosen, in Python's strings
GATHERED = 4  # copies of neighbours' texts: as found, in columns, in words: assumed


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
    "want_texts": want_texts,
    "collect_texts": collect_texts,
    "list_texts": list_texts,
    "gather_neighbors": gather_neighbors,
}
"""By rule."""
