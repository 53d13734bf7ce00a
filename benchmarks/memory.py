"""Memory that the stages of an index take, beside what is expected of them.

python benchmarks/memory.py [--factory Flat] [--passages 2000000] [--shards 4] [--dimension 16]
python benchmarks/memory.py --limit-mb 2000 --passages 1000000 --dimension 256 --queries 2000

Each stage runs in a process of its own, which is looked at every two milliseconds (Linux only).
Memory is what a process holds beyond its imports, without pages of files that it maps, which the
system takes back when it needs them.

With `--limit-mb` every stage from embeddings to texts runs under that limit (see
`benchmarks/bounded.py`), and what it finds is checked.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tttnn.needs.rates import MB, PANDAS, PYTHON
from tttnn.needs.scale import Scale
from tttnn.needs.shapes import Shape
from tttnn.operations.costs import FORMULAS
from tttnn.operations.jobs import ask
from tttnn.operations.sizes import scale
from tttnn.pile import TASKS
from tttnn.retrieval.control import RandomSpec, draw_random
from tttnn.retrieval.index import (
    IndexSpec,
    fill_shard_index,
    merge_index,
    merge_training,
    train_shard_index,
)
from tttnn.retrieval.recall import RecallSpec, measure_recall
from tttnn.retrieval.search import MergeSpec, SearchSpec, merge_candidates, search_shard
from tttnn.retrieval.vectors import list_embeddings
from tttnn.tables import write_table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from shards import write_query_vectors, write_vectors  # noqa: E402

EVERY = 0.002  # seconds between two looks


class Corpus(NamedTuple):
    """Files of random vectors: the shards' lists, and the queries'."""

    folder: Path
    lists: list[Path]


def write_corpus(folder: Path, shards: int, files: int, rows: int, d: int, queries: int) -> Corpus:
    """`rows` passages in each of `files` files of each shard."""
    generator = np.random.default_rng(0)
    lists = []
    for shard in range(shards):
        chunks = []
        for number in range(shard * files, (shard + 1) * files):
            passages = folder / f"passages/{number}.parquet"
            vectors = folder / f"embeddings/{number}.npy"
            ids = pa.table({"passage_id": np.arange(number * rows, (number + 1) * rows)})
            passages.parent.mkdir(exist_ok=True)
            write_table(passages, ids)
            write_vectors(vectors, passages, generator.standard_normal((rows, d), np.float32))
            chunks.append((passages, vectors))
        lists.append(folder / f"embeddings/some/{shard}.json")
        list_embeddings([each for each, _ in chunks], [each for _, each in chunks], lists[-1])
    write_table(folder / "queries.parquet", pa.table({"query_id": np.arange(queries)}))
    found = generator.standard_normal((queries, d), np.float32)
    write_query_vectors(folder / "queries.safetensors", list(range(queries)), found)
    return Corpus(folder, lists)


def expected(options: argparse.Namespace) -> Scale:
    """The scale of such a corpus, for the formulas."""
    index = f"ivf: {{factory: '{options.factory}', sample_per_shard: {options.sample}}}"
    if options.factory == "Flat":
        index = "flat: {factory: Flat}"
    index = f"indexes={{{index[:-1]}, share: {options.share}}}}}"
    settings = [index, f"chunk={{chunks_per_shard: {options.files}}}"]
    settings += [f"memory_mb={options.memory_mb}"]
    settings += [f"search={{candidates: {options.candidates}}}"]
    made = scale(ask([], settings)[0])
    selected = dict.fromkeys(TASKS, options.queries / len(TASKS))
    texts = made.texts._replace(documents=options.passages / options.shards, selected=selected)
    shards = [str(number) for number in range(options.shards)]
    shape = Shape(1, options.dimension, 1, 1)
    return replace(made, texts=texts, shards=shards, shapes=dict.fromkeys(made.models, shape))


class Held(NamedTuple):
    """Bytes of a process: held, and private and writable, held or not, as its limit counts."""

    anonymous: int
    private: int

    @property
    def reserved(self) -> int:
        """What is private and not held."""
        return self.private - self.anonymous


def _held(process: int | str) -> Held:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = (status.partition(name)[2].split() for name in ("RssAnon:", "VmData:"))
    return Held(*(1024 * int(each[0]) if each else 0 for each in found))  # it may have ended


def _run(stage: Callable[[], None], parent: Connection, limit: int | None) -> None:
    parent.send(_held("self"))
    parent.recv()
    if limit is not None:  # on what is private and writable: no file that is mapped to be read
        most = limit + _held("self").reserved
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    stage()
    parent.send("done")
    parent.recv()


def peak(stage: Callable[[], None], limit: int | None = None) -> tuple[Held, Held]:
    """What a stage's process holds before it runs, and at most.

    With `limit`, in bytes, it cannot allocate more than that, beyond what its imports reserve and
    do not use; the stage fails where it tries.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(stage, there, limit))
    process.start()
    before = most = here.recv()
    here.send("go")
    while not here.poll(EVERY):
        if not process.is_alive():
            raise SystemExit(f"the stage ended with status {process.exitcode}")
        most = Held(*map(max, most, _held(process.pid)))
    here.send("end")
    process.join()
    return before, most


def measured(stage: Callable[[], None]) -> int:
    """Bytes that a stage holds at most beyond what its process held before."""
    before, most = peak(stage)
    return most.anonymous - before.anonymous


def _each(stage: Callable[..., None], corpus: Corpus, outputs: list[Path], memory: int) -> None:
    for listed, output in zip(corpus.lists, outputs, strict=True):
        stage(listed, output=output, memory_mb=memory)


def _search_each(
    spec: SearchSpec,
    corpus: Corpus,
    filled: list[Path],
    vectors: Path,
    outputs: list[Path],
    memory: int,
) -> None:
    for number, (listed, output) in enumerate(zip(corpus.lists, outputs, strict=True)):
        search_shard(spec, listed, filled[number : number + 1], vectors, output, memory)


def stages(
    corpus: Corpus, options: argparse.Namespace, spec: IndexSpec
) -> dict[str, Callable[[], None]]:
    """Every stage with its files, in the order in which they run."""
    folder, memory = corpus.folder, options.memory_mb
    learnt = [folder / f"{number}.safetensors" for number in range(options.shards)]
    filled = [folder / f"{number}.faiss" for number in range(options.shards)]
    of_shards = [folder / f"{number}.found.parquet" for number in range(options.shards)]
    trained, merged = folder / "trained.faiss", folder / "merged"
    queries, vectors = [folder / "queries.parquet"], folder / "queries.safetensors"
    found, index = [folder / "found.parquet"], spec.index
    built = {"kind": index.kind, "factory": index.factory, "share": index.share}
    built |= {"asked": index.asked()}
    search = SearchSpec(candidates=options.candidates, **built)
    merge = MergeSpec(candidates=options.candidates)
    recall = RecallSpec(queries=1000, at=[10], **built)
    drawn = RandomSpec(candidates=options.candidates, seed=0)
    train, fill = partial(train_shard_index, spec), partial(fill_shard_index, spec, trained)
    learning = {
        "train_shard_index": partial(_each, train, corpus, learnt, memory),
        "merge_training": partial(merge_training, spec, learnt, trained, memory),
        "fill_shard_index": partial(_each, fill, corpus, filled, memory),
        "merge_index": partial(merge_index, spec, trained, filled, corpus.lists, merged, memory),
    }
    whole = [merged] if index.LEARNS else []
    files = filled if index.LEARNS else []
    result = folder / "recall.csv", folder / "made.json", folder / "rates.csv"
    asked = queries, vectors, corpus.lists
    return (learning if index.LEARNS else {}) | {
        "search_shard": partial(_search_each, search, corpus, files, vectors, of_shards, memory),
        "merge_candidates": partial(
            merge_candidates, merge, of_shards, whole, queries, found, memory
        ),
        "measure_recall": partial(
            measure_recall, recall, whole, "index", found, *asked, *result, memory
        ),
        "draw_random": partial(draw_random, drawn, *asked, [folder / "drawn.parquet"], memory),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factory", default="Flat")
    parser.add_argument("--passages", type=int, default=2_000_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--files", type=int, default=1, help="of a shard")
    parser.add_argument("--dimension", type=int, default=16)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--sample", type=int, default=20_000, help="vectors a shard learns from")
    parser.add_argument("--queries", type=int, default=220)
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--memory-mb", type=int, default=4000)
    parser.add_argument("--limit-mb", type=int, help="of each stage; its memory_mb, too")
    options = parser.parse_args()
    if options.limit_mb:
        import bounded  # reads this module

        return bounded.run(options)
    sizes = expected(options)
    name = "flat" if options.factory == "Flat" else "ivf"
    spec = IndexSpec(index=sizes.indexes[name].model_dump())
    rows = options.passages // options.shards // options.files
    wildcards = {"index": name, "shard": "0", "queries": "test"}
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_corpus(
            Path(folder), options.shards, options.files, rows, options.dimension, options.queries
        )
        print(f"{'stage':20}{'MB':>8}{'expected':>10}{'ratio':>7}{'bytes a passage':>17}")
        for stage, run in stages(corpus, options, spec).items():
            used = measured(run)
            imports = PYTHON + (PANDAS if stage == "measure_recall" else 0)
            thought = FORMULAS[stage](sizes, wildcards).memory - imports
            ratio = f"{thought / used:.2f}" if used and thought else "-"
            each = used / options.passages
            print(f"{stage:20}{used / MB:8.0f}{thought / MB:10.0f}{ratio:>7}{each:17.1f}")


if __name__ == "__main__":
    main()
