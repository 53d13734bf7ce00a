"""Every stage from embeddings to neighbours' texts under a hard limit, and what it finds, checked.

Run by `benchmarks/memory.py --limit-mb 2000`. The limit is Linux's on a process's private and
writable memory (RLIMIT_DATA): beyond it an allocation fails, and the stage with it. Files that are
mapped to be read do not count, imports do; what these reserve without use is allowed on top.

Vectors are normally distributed; near each query some are planted, in places drawn at random. An
exact index has to find them all, before any other, and one that learns all but one in a thousand.
Exact search is
compared with brute force in float64, distance by distance, for some of the queries.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import memory
import numpy as np
import pandas as pd
from memory import peak

from shards import index_spec, write_queries, write_query_vectors, write_shards
from tttnn.corpus.passages import list_passages
from tttnn.needs.rates import MB
from tttnn.pile import TASKS
from tttnn.retrieval.choose import ChooseSpec, choose_neighbors
from tttnn.retrieval.control import RandomSpec, draw_random
from tttnn.retrieval.gather import gather_neighbors
from tttnn.retrieval.index import (
    fill_shard_index,
    merge_index,
    merge_training,
    train_shard_index,
)
from tttnn.retrieval.search import MergeSpec, SearchSpec, merge_candidates
from tttnn.retrieval.texts import collect_texts, want_texts
from tttnn.sections.gather import Gather

FACTORIES = ("Flat", "IVF1024,SQ8")
NPROBE = 32
PLANTED = 5  # of each query
STEP = 0.05  # standard deviations that each next one is farther
COMPARED = 20  # queries, with brute force
DEPTH = 50  # neighbours with texts
USED_TASKS = list(TASKS)[:4]

Stages = dict[str, Callable[[], None]]


class Files(NamedTuple):
    """What stages read: small, for it is sent to their processes."""

    folder: Path
    lists: list[Path]
    passages: list[list[Path]]  # by shard
    listed: Path
    queries: list[Path]
    vectors: Path  # the queries'

    def outputs(self, name: str) -> list[Path]:
        """A file a task."""
        return [self.folder / name / path.name for path in self.queries]


class Planted:
    """A corpus with planted neighbours: its vectors, what is where, and its files."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        generator = np.random.default_rng(0)
        count, d, queries = options.passages, options.dimension, options.queries
        vectors = generator.standard_normal((count, d), np.float32)
        self.queries = generator.standard_normal((queries, d), np.float32)
        self.places = generator.choice(count, (queries, PLANTED), replace=False)
        for number in range(PLANTED):
            noise = generator.standard_normal((queries, d), np.float32)
            vectors[self.places[:, number]] = self.queries + STEP * (number + 1) * noise
        files = options.shards * options.files
        counts = [len(each) for each in np.array_split(np.arange(count), files)]
        by_shard = [counts[n :: options.shards] for n in range(options.shards)]
        self.shards = write_shards(folder, by_shard, vectors)
        ids = np.array_split(np.arange(queries), len(USED_TASKS))
        query_files = [
            write_queries(folder / f"queries/{task}.parquet", some.tolist())
            for task, some in zip(USED_TASKS, ids, strict=True)
        ]
        found = folder / "queries.safetensors"
        write_query_vectors(found, list(range(queries)), self.queries)
        listed = folder / "passages/manifest.json"
        list_passages(self.shards.files["passages"], listed)
        self.files = Files(
            folder, self.shards.lists, self.shards.passages, listed, query_files, found
        )


def _collect(corpus: Files, wanted: list[Path], copies: list[Path]) -> None:
    for listing, passages, copy in zip(wanted, corpus.passages, copies, strict=True):
        collect_texts(listing, passages, copy)
    list_passages(copies, copies[0].with_name("manifest.json"))


def _gather(corpus: Files, candidates: list[Path], texts: Path, outputs: list[Path]) -> None:
    for found, queries, output in zip(candidates, corpus.queries, outputs, strict=True):
        gather_neighbors(Gather(depth=DEPTH), found, queries, corpus.listed, texts, output)


def stages(corpus: Files, factory: str, options: argparse.Namespace) -> Stages:
    """Every stage of an index with its files, in the order in which they run."""
    folder, memory_mb = corpus.folder / factory, options.limit_mb
    lists, numbers = corpus.lists, [f"{n:02d}" for n in range(options.shards)]
    spec = index_spec(factory, **({} if factory == "Flat" else {"nprobe": NPROBE}))
    index = spec.index
    learnt = [folder / f"{number}.safetensors" for number in numbers]
    filled = [folder / f"{number}.faiss" for number in numbers]
    found = [folder / f"{number}.found.parquet" for number in numbers]
    wanted = [folder / f"wanted/{number}.parquet" for number in numbers]
    copies = [folder / f"texts/{number}.parquet" for number in numbers]
    trained, merged = folder / "trained.faiss", folder / "merged"
    built = {"kind": index.kind, "factory": index.factory, "share": index.share}
    search = SearchSpec(candidates=options.candidates, **built, asked=index.asked())
    read = {"queries": corpus.queries, "vectors": corpus.vectors, "embeddings": lists}
    near, picked, far = (
        corpus.outputs(f"{factory}/{name}") for name in ("near", "picked", "random")
    )
    selection = {"kind": "sift", "index": "some", "picks": DEPTH}
    of_shards = memory.Corpus(corpus.folder, lists)
    learning = {
        "train_shard_index": partial(
            memory._each, partial(train_shard_index, spec), of_shards, learnt, memory_mb
        ),
        "merge_training": partial(merge_training, spec, learnt, trained, memory_mb),
        "fill_shard_index": partial(
            memory._each, partial(fill_shard_index, spec, trained), of_shards, filled, memory_mb
        ),
        "merge_index": partial(merge_index, spec, trained, filled, lists, merged, memory_mb),
    }
    learns = index.LEARNS
    return (learning if learns else {}) | {
        "search_shard": partial(
            memory._search_each,
            search,
            of_shards,
            filled if learns else [],
            corpus.vectors,
            found,
            memory_mb,
        ),
        "merge_candidates": partial(
            merge_candidates,
            MergeSpec(candidates=options.candidates),
            found,
            [merged] if learns else [],
            corpus.queries,
            near,
            memory_mb,
        ),
        "choose_neighbors": partial(
            choose_neighbors,
            ChooseSpec(selection=selection),
            near,
            **read,
            outputs=picked,
            memory_mb=memory_mb,
        ),
        "draw_random": partial(
            draw_random,
            RandomSpec(candidates=options.candidates, seed=0),
            **read,
            outputs=far,
            memory_mb=memory_mb,
        ),
        "want_texts": partial(want_texts, Gather(depth=DEPTH), [*near, *picked, *far], wanted),
        "collect_texts": partial(_collect, corpus, wanted, copies),
        "gather_neighbors": partial(
            _gather,
            corpus,
            near,
            folder / "texts/manifest.json",
            corpus.outputs(f"{factory}/neighbors"),
        ),
    }


def check(corpus: Planted, factory: str, options: argparse.Namespace) -> str:
    """What was found, in words; raises `SystemExit` where it is not what has to be."""
    tables = [pd.read_parquet(path) for path in corpus.files.outputs(f"{factory}/near")]
    found = pd.concat(tables).sort_values(["query_id", "rank"])
    ids = found["passage_id"].to_numpy().reshape(options.queries, -1)
    planted = corpus.shards.ids[corpus.places]
    first, planted = np.sort(ids[:, :PLANTED], axis=1), np.sort(planted, axis=1)
    missed = planted.size - sum(map(len, map(np.intersect1d, first, planted)))
    if missed > (0 if factory == "Flat" else planted.size / 1000):
        raise SystemExit(f"{factory}: {missed} of {planted.size} planted neighbours are not there")
    texts = pd.concat(
        pd.read_parquet(path) for path in corpus.files.outputs(f"{factory}/neighbors")
    )
    if not (texts["text"] == [f"passage {each}" for each in texts["passage_id"]]).all():
        raise SystemExit(f"{factory}: a neighbour has another one's text")
    kept = planted.size - missed
    said = f"{factory}: {kept} of {planted.size} planted neighbours found before all others"
    if factory != "Flat":
        return said
    distances = found["distance"].to_numpy().reshape(options.queries, -1)
    for query in np.linspace(0, options.queries - 1, COMPARED, dtype=int):
        far = np.concatenate(
            [
                ((block - corpus.queries[query].astype(np.float64)) ** 2).sum(axis=1)
                for block in np.array_split(corpus.shards.vectors, 100)
            ]
        )
        nearest = np.lexsort((corpus.shards.ids, far))[: options.candidates]
        if not np.array_equal(corpus.shards.ids[nearest], ids[query]):
            raise SystemExit(f"query {query}: exact search found others than brute force")
        np.testing.assert_allclose(distances[query], far[nearest], rtol=1e-12)
    return f"{said}; {COMPARED} queries' {options.candidates} nearest are brute force's"


def run(options: argparse.Namespace) -> None:
    """Print the peaks of each stage of each index."""
    # the stages' processes take it over: Arrow's own allocator reserves a GiB that it does not hold
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    with tempfile.TemporaryDirectory() as folder:
        corpus = Planted(Path(folder), options)
        print(f"{options.passages} x {options.dimension}, RLIMIT_DATA {options.limit_mb} MB")
        print(f"{'index':14}{'stage':20}{'held, MB':>10}{'of the limit, MB':>18}")
        for factory in FACTORIES:
            for stage, call in stages(corpus.files, factory, options).items():
                before, most = peak(call, int(options.limit_mb * MB))
                counted = most.private - before.reserved
                print(
                    f"{factory:14}{stage:20}{most.anonymous / MB:10.0f}{counted / MB:18.0f}",
                    flush=True,
                )
            print(check(corpus, factory, options), flush=True)
