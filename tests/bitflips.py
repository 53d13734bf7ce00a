"""Flip one bit of a file that is there, run the next stage alone, and see what comes of it.

python tests/bitflips.py [--flips 20] [--seed 0] [--costs]

A tiny pipeline is built in a temporary folder by calling the stages' functions. Then, for each kind
of file and stage that reads it, one random bit of a random file is flipped, its time stamp is kept,
the stage runs in a process of its own, and the bit is flipped back. Counted are

- silent: the stage ends well, and its output is another;
- noticed: it ends in one line that names what is wrong;
- harmless: it ends well, and its output is what it was;
- traceback, killed: it ends in another way.

The exit status is 1 if anything was silent or ended in a traceback or a signal. With --costs, a
table of what comparing digests, and waiting for the disk, takes of each stage's time.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import os
import pstats
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.numpy import load_file

from shards import MEMORY_MB, index_spec, searched
from tiny import save_causal, save_encoder
from tttnn.corpus.chunk import chunk_shard
from tttnn.corpus.download import DownloadSpec, download_shard
from tttnn.corpus.passages import list_passages
from tttnn.corpus.select import select_documents
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.methods.experts.evaluate import ExpertsSpec, evaluate_experts
from tttnn.methods.experts.train import train_expert
from tttnn.methods.split import SplitSpec, split_documents
from tttnn.pile import TASKS
from tttnn.retrieval.choose import ChooseSpec, choose_neighbors
from tttnn.retrieval.clusters import cluster_passages
from tttnn.retrieval.control import RandomSpec, draw_random
from tttnn.retrieval.distances import DistancesSpec, measure_distances
from tttnn.retrieval.embed import embed_chunk, embed_queries
from tttnn.retrieval.gather import gather_neighbors
from tttnn.retrieval.index import (
    fill_shard_index,
    merge_index,
    merge_training,
    train_shard_index,
)
from tttnn.retrieval.recall import RecallSpec, measure_recall
from tttnn.retrieval.search import MergeSpec, SearchSpec, merge_candidates, search_shard
from tttnn.retrieval.texts import collect_texts, want_texts
from tttnn.retrieval.vectors import list_embeddings
from tttnn.scores.experts import WeighSpec, weigh_experts
from tttnn.scores.rows import ScoreSpec
from tttnn.scores.score import score
from tttnn.sections.chunk import Chunk
from tttnn.sections.embed import Embed
from tttnn.sections.experts import Clustering, Training
from tttnn.sections.gather import Gather
from tttnn.sections.select import Select

SHARDS = ("00", "01")
CHUNKS = 2
TASK = "pile_github"
EXPERTS = 2
INDEXES = {"flat": "Flat", "ivf": "IVF8,Flat"}
CLOCKS = ["train_seconds", "evaluate_seconds"]  # columns that are never the same
OF_CLOCKS = ["seconds", "record_sha256", "training.json"]  # nor these, in JSON: digests of seconds
HASHING = ("'update' of '_hashlib.HASH'", "openssl_sha256", "zlib.crc32", "file_digest")

Outcome = str
SILENT, NOTICED, HARMLESS, TRACEBACK, KILLED = OUTCOMES = (
    *("silent", "noticed", "harmless"),
    *("traceback", "killed"),
)


@contextmanager
def quiet(log: Path) -> Iterator[None]:
    """What is written to stderr goes to a file, and is shown only if something fails."""
    kept = os.dup(2)
    with log.open("w") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    except BaseException:
        os.write(kept, log.read_bytes())
        raise
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Step(NamedTuple):
    """A stage, of which `run` writes below the folder it is given."""

    name: str
    run: Callable[[Path], None]


class Case(NamedTuple):
    """Files of a kind, and a stage that reads them."""

    what: str
    files: list[Path]
    step: str


class Pipeline:
    """Every stage's files below `folder`, and the stages as they read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: dict[str, Step] = {}
        self._expected: dict[str, str] = {}
        self.corpus = {shard: folder / f"corpus/{shard}.jsonl.zst" for shard in (*SHARDS, "test")}
        self.embedder, self.causal = folder / "models/encoder", folder / "models/causal"
        self.passages = [
            folder / f"passages/{shard}/{chunk}.parquet"
            for shard in SHARDS
            for chunk in range(CHUNKS)
        ]
        self.vectors = [
            folder / "embeddings/encoder" / path.parent.name / f"{path.stem}.npy"
            for path in self.passages
        ]
        self.lists = [folder / f"embeddings/encoder/{shard}.json" for shard in SHARDS]
        self.queries = self.tasks("queries/test")
        self._build()

    def tasks(self, name: str) -> list[Path]:
        """A file for each task in a folder."""
        return [self.folder / name / f"{task}.parquet" for task in TASKS]

    def expected(self, step: Step, scratch: Path) -> str:
        """Digest of what a stage writes where nothing is damaged."""
        if step.name not in self._expected:
            outcome, words = run_apart(step, scratch)
            if outcome:
                raise RuntimeError(f"{step.name} fails without a flip: {words}")
            self._expected[step.name] = digest(scratch)
        return self._expected[step.name]

    def step(self, name: str, run: Callable[[Path], None]) -> None:
        """Run a stage for the pipeline, and keep it."""
        self.steps[name] = Step(name, run)
        run(self.folder)

    def _build(self) -> None:
        save_encoder(self.embedder)
        save_causal(self.causal)
        source = {"kind": "demo", "train_documents": 60, "val_documents": 1, "test_documents": 66}
        download = DownloadSpec(
            source=source | {"copies": 0.1},
            shards=len(SHARDS),
            on_bad_record="reject",
            train_has_subsets=True,
        )
        for shard, path in self.corpus.items():
            rejected, manifest = path.with_name(f"{shard}.rejected.jsonl"), path.with_name("x")
            download_shard(download, shard, path, rejected, manifest.with_name(f"{shard}.json"))
        self._build_texts()
        for place, path in enumerate(self.lists):
            chunks = slice(place * CHUNKS, (place + 1) * CHUNKS)
            list_embeddings(self.passages[chunks], self.vectors[chunks], path)
        self._build_index("ivf", INDEXES["ivf"])
        for name, factory in INDEXES.items():
            self._search(name, factory)
        self._build_neighbors()

    def _build_texts(self) -> None:
        spec = Chunk(
            chunks_per_shard=CHUNKS,
            unit="window",
            window_tokens=256,
            stride_tokens=256,
            tokenizer="encoder",
        )
        for number, shard in enumerate(SHARDS):
            documents = self.corpus[shard]

            def chunk(out: Path, number: int = number, documents: Path = documents) -> None:
                shard = documents.name.split(".")[0]
                outputs = [out / f"passages/{shard}/{chunk}.parquet" for chunk in range(CHUNKS)]
                manifest = documents.with_name(f"{shard}.json")
                chunk_shard(spec, number, documents, manifest, outputs, [self.embedder])

            self.step(f"chunk_shard {shard}", chunk)
        self.step(
            "list_passages",
            lambda out: list_passages(self.passages, out / "passages/manifest.json"),
        )
        test = self.corpus["test"]
        self.step(
            "select_documents",
            lambda out: select_documents(
                Select(count=2),
                test,
                test.with_name("test.json"),
                [out / path.relative_to(self.folder) for path in self.queries],
                out / "queries/test/selection.json",
            ),
        )
        self.step(
            "split_documents",
            lambda out: split_documents(
                SplitSpec(tokens=20),
                self.queries,
                self.causal,
                [out / "queries/halves" / path.name for path in self.queries],
            ),
        )
        embed = Embed(max_tokens=32)
        for passages, vectors in zip(self.passages, self.vectors, strict=True):

            def embed_one(out: Path, passages: Path = passages, vectors: Path = vectors) -> None:
                output = out / vectors.relative_to(self.folder)
                embed_chunk(embed, passages, self.embedder, output, output.with_suffix(".json"))

            self.step(f"embed_chunk {vectors.parent.name}/{vectors.stem}", embed_one)
        self.step(
            "embed_queries",
            lambda out: embed_queries(
                embed, self.queries, self.embedder, out / "queries/encoder.safetensors"
            ),
        )

    def _build_index(self, name: str, factory: str) -> None:
        spec, folder = index_spec(factory), self.folder / "index" / name
        learnt = [folder / f"trained/{shard}.safetensors" for shard in SHARDS]
        filled = [folder / f"shards/{shard}.faiss" for shard in SHARDS]
        for place, shard in enumerate(SHARDS):
            self.step(
                f"train_shard_index {name} {shard}",
                lambda out, mine=self.lists[place], path=learnt[place]: train_shard_index(
                    spec, mine, out / path.relative_to(self.folder), MEMORY_MB
                ),
            )
        trained = folder / "trained.faiss"
        self.step(
            f"merge_training {name}",
            lambda out: merge_training(
                spec, learnt, out / trained.relative_to(self.folder), MEMORY_MB
            ),
        )
        for place, shard in enumerate(SHARDS):
            self.step(
                f"fill_shard_index {name} {shard}",
                lambda out, mine=self.lists[place], path=filled[place]: fill_shard_index(
                    spec, trained, mine, out / path.relative_to(self.folder), MEMORY_MB
                ),
            )
        self.step(
            f"merge_index {name}",
            lambda out: merge_index(
                spec, trained, filled, self.lists, out / f"index/{name}/merged", MEMORY_MB
            ),
        )

    def _search(self, name: str, factory: str) -> None:
        spec, folder = index_spec(factory), self.folder / "index" / name
        built = searched(spec, nprobe=6)
        vectors = self.folder / "queries/encoder.safetensors"
        of_shards = [self.folder / f"found/test/{name}/{shard}.parquet" for shard in SHARDS]
        for place, shard in enumerate(SHARDS):
            index = [folder / f"shards/{shard}.faiss"] if spec.index.LEARNS else []
            self.step(
                f"search_shard {name} {shard}",
                lambda out, place=place, index=index: search_shard(
                    SearchSpec(candidates=6, **built),
                    self.lists[place],
                    index,
                    vectors,
                    out / of_shards[place].relative_to(self.folder),
                    MEMORY_MB,
                ),
            )
        merged = [folder / "merged"] if spec.index.LEARNS else []
        found = self.tasks(f"candidates/test/{name}")
        self.step(
            f"merge_candidates {name}",
            lambda out: merge_candidates(
                MergeSpec(candidates=6),
                of_shards,
                merged,
                self.queries,
                [out / path.relative_to(self.folder) for path in found],
                MEMORY_MB,
            ),
        )
        self.step(
            f"measure_recall {name}",
            lambda out: measure_recall(
                RecallSpec(queries=20, at=[1, 6], **built),
                index=merged,
                name=name,
                candidates=found,
                queries=self.queries,
                vectors=vectors,
                embeddings=self.lists,
                output=out / f"index/{name}/recall.csv",
                made=out / f"index/{name}/made.json",
                rates=out / f"index/{name}/rates.csv",
                memory_mb=MEMORY_MB,
            ),
        )

    def _build_neighbors(self) -> None:
        found = self.tasks("candidates/test/ivf")
        vectors = self.folder / "queries/encoder.safetensors"
        common = {
            "queries": self.queries,
            "vectors": vectors,
            "embeddings": self.lists,
            "memory_mb": MEMORY_MB,
        }
        self.step(
            "draw_random",
            lambda out: draw_random(
                RandomSpec(candidates=5, seed=1),
                outputs=[out / "candidates/test/random" / path.name for path in found],
                **common,
            ),
        )
        self.step(
            "choose_neighbors",
            lambda out: choose_neighbors(
                ChooseSpec(selection={"kind": "sift", "index": "ivf", "picks": 3}),
                candidates=found,
                outputs=[out / "candidates/test/chosen" / path.name for path in found],
                **common,
            ),
        )
        self.step(
            "measure_distances",
            lambda out: measure_distances(
                DistancesSpec(indexes={"ivf": {"share": 1, "embedder": "encoder"}}),
                found,
                out / "tables/distances.csv",
                out / "tables/pairs.parquet",
                MEMORY_MB,
            ),
        )
        neighbors = self.folder / f"neighbors/test/ivf/{TASK}.parquet"
        place = list(TASKS).index(TASK)
        shards = sorted({path.parent.name for path in self.passages})
        wanted = [self.folder / f"texts/wanted/{shard}.parquet" for shard in shards]
        copies = [self.folder / f"texts/{shard}.parquet" for shard in shards]
        self.step(
            "want_texts",
            lambda out: want_texts(
                Gather(depth=3),
                found,
                [out / path.relative_to(self.folder) for path in wanted],
            ),
        )
        for listing, copy in zip(wanted, copies, strict=True):
            mine = [path for path in self.passages if path.parent.name == copy.stem]
            self.step(
                f"collect_texts {copy.stem}",
                lambda out, listing=listing, mine=mine, copy=copy: collect_texts(
                    listing, mine, out / copy.relative_to(self.folder)
                ),
            )
        listed = self.folder / "texts/manifest.json"
        self.step(
            "list_texts",
            lambda out: list_passages(copies, out / listed.relative_to(self.folder)),
        )
        self.step(
            "gather_neighbors",
            lambda out: gather_neighbors(
                Gather(depth=3),
                found[place],
                self.queries[place],
                self.folder / "passages/manifest.json",
                self.folder / "texts/manifest.json",
                out / neighbors.relative_to(self.folder),
            ),
        )
        recipe = {
            "kind": "ttt",
            "num_neighbors": 2,
            "evaluate_at": [0, 2],
            "learning_rate": 1e-3,
        }
        self.step(
            "evaluate_part",
            lambda out: evaluate_part(
                EvaluateSpec(recipe=recipe, parts=1),
                self.causal,
                self.queries[place],
                [neighbors],
                "ttt",
                TASK,
                0,
                out / f"evaluation/causal/ttt/{TASK}/0.parquet",
            ),
        )
        self._build_experts()
        self.step(
            "score",
            lambda out: score(
                ScoreSpec(
                    run="tiny",
                    candidates={"ttt": "ivf", "experts": None},
                    searched={"ivf": ["ivf"]},
                    selections=[],
                    cells=[("causal", name, TASK, 1) for name in ("ttt", "experts")],
                    mixtures={},
                    halves=[],
                    budgets={},
                    resamples=50,
                ),
                self.folder,
                [self.folder / "queries/test/selection.json"],
                [self.folder / f"corpus/{shard}.json" for shard in (*SHARDS, "test")],
                [self.folder / f"index/{name}/recall.csv" for name in INDEXES],
                [vectors],
                out / "tables",
            ),
        )
        weigh = WeighSpec(
            run="tiny",
            experts={"experts": "two"},
            counts={"experts": "experts"},
            against={"experts": ["ttt"]},
        )
        self.step(
            "weigh_experts",
            lambda out: weigh_experts(weigh, self.folder, out / "tables/experts.csv"),
        )

    def _build_experts(self) -> None:
        folder = self.folder / "experts/two"
        clusters = folder / "clusters.safetensors"
        self.step(
            "cluster_passages",
            lambda out: cluster_passages(
                Clustering(clusters=EXPERTS, passages=4, center=True),
                self.lists,
                out / "experts/two/clusters.safetensors",
                out / "experts/two/clusters.json",
                MEMORY_MB,
            ),
        )
        for cluster in range(EXPERTS):
            self.step(
                f"train_expert {cluster}",
                lambda out, cluster=cluster: train_expert(
                    Training(rank=2, passage_windows=1, window=16),
                    self.causal,
                    clusters,
                    self.folder / "passages/manifest.json",
                    cluster,
                    out / f"experts/two/causal/{cluster}",
                ),
            )
        merged = {"kind": "experts", "experts": "two", "beta": 1.0, "evaluate_at": [0, EXPERTS]}
        self.step(
            "evaluate_experts",
            lambda out: evaluate_experts(
                ExpertsSpec(recipe=merged, parts=1),
                self.causal,
                self.queries[list(TASKS).index(TASK)],
                [],
                clusters,
                [folder / f"causal/{cluster}" for cluster in range(EXPERTS)],
                self.folder / "queries/encoder.safetensors",
                "experts",
                TASK,
                0,
                out / f"evaluation/causal/experts/{TASK}/0.parquet",
            ),
        )

    def cases(self) -> Iterator[Case]:
        """What is flipped, and the stage that runs then."""
        folder = self.folder
        first = self.passages[0]
        chunk = f"{first.parent.name}/{first.stem}"
        vectors = folder / "queries/encoder.safetensors"
        place = list(TASKS).index(TASK)
        filled = [path for path in self.queries if pq.read_metadata(path).num_rows]
        yield Case("corpus shard", [self.corpus["00"]], "chunk_shard 00")
        yield Case("corpus shard", [self.corpus["test"]], "select_documents")
        yield Case("shard's manifest", [folder / "corpus/00.json"], "chunk_shard 00")
        yield Case("shard's manifest", [folder / "corpus/test.json"], "select_documents")
        yield Case("shard's manifest", [folder / "corpus/00.json"], "score")
        yield Case("selection", [folder / "queries/test/selection.json"], "score")
        yield Case("tokenizer", [self.embedder / "tokenizer.json"], "chunk_shard 00")
        yield Case("tokenizer", [self.causal / "tokenizer.json"], "split_documents")
        yield Case("model", _files(self.embedder), f"embed_chunk {chunk}")
        yield Case("model", _files(self.embedder), "embed_queries")
        yield Case("model", _files(self.causal), "evaluate_part")
        shard = first.parent.name
        for step in (f"embed_chunk {chunk}", "list_passages", f"collect_texts {shard}"):
            files = self.passages if step == "list_passages" else self.passages[:CHUNKS]
            yield Case("passages", [first] if step.startswith("embed") else files, step)
        copies = [path for path in _files(folder / "texts") if path.suffix == ".parquet"]
        for step in ("list_texts", "gather_neighbors"):
            yield Case("copies of passages", copies, step)
        yield Case("list of copies", [folder / "texts/manifest.json"], "gather_neighbors")
        wanted = folder / f"texts/wanted/{shard}.parquet"
        yield Case("wanted passages", [wanted], f"collect_texts {shard}")
        yield Case("list of passages", [folder / "passages/manifest.json"], "gather_neighbors")
        for step in ("embed_queries", "split_documents"):
            yield Case("queries", filled, step)
        for step in ("evaluate_part", "gather_neighbors"):
            yield Case("queries", [self.queries[place]], step)
        mine = self.vectors[:CHUNKS]
        manifests = [path.with_suffix(".json") for path in self.vectors]
        for step in (
            *("train_shard_index ivf 00", "fill_shard_index ivf 00"),
            *("search_shard flat 00", "search_shard ivf 00"),
            *("merge_index ivf", "measure_recall ivf", "draw_random", "choose_neighbors"),
            "cluster_passages",
        ):
            of_shard = step.endswith(" 00")
            if step != "merge_index ivf":  # which reads no vectors
                yield Case("embeddings", mine if of_shard else self.vectors, step)
            yield Case("embeddings' manifest", manifests[:CHUNKS] if of_shard else manifests, step)
            yield Case("list of embeddings", self.lists[:1] if of_shard else self.lists, step)
            if step not in ("train_shard_index ivf 00", "measure_recall ivf"):
                yield Case("passages", self.passages[:CHUNKS] if of_shard else self.passages, step)
        index = folder / "index/ivf"
        yield Case("index: learnt", _files(index / "trained"), "merge_training ivf")
        for step in ("fill_shard_index ivf 00", "merge_index ivf"):
            yield Case("index: trained", [index / "trained.faiss"], step)
        yield Case("index: shards", _files(index / "shards"), "merge_index ivf")
        yield Case("index: shards", [index / "shards/00.faiss"], "search_shard ivf 00")
        for path in _files(index / "merged"):
            yield Case(f"index: {path.name}", [path], "measure_recall ivf")
        yield Case("index: manifest", [index / "merged/manifest.json"], "merge_candidates ivf")
        for name in INDEXES:
            of_shards = [folder / f"found/test/{name}/{shard}.parquet" for shard in SHARDS]
            yield Case("found", of_shards, f"merge_candidates {name}")
        for step in ("search_shard flat 00", "measure_recall ivf", "draw_random"):
            yield Case("queries' embeddings", [vectors], step)
        yield Case("queries' embeddings", [vectors], "choose_neighbors")
        found = [folder / "candidates/test/ivf" / path.name for path in filled]
        for step in ("measure_recall ivf", "choose_neighbors", "measure_distances"):
            yield Case("candidates", found, step)
        candidates = folder / f"candidates/test/ivf/{TASK}.parquet"
        yield Case("candidates", [candidates], "gather_neighbors")
        neighbors = folder / f"neighbors/test/ivf/{TASK}.parquet"
        yield Case("neighbours", [neighbors], "evaluate_part")
        evaluation = folder / f"evaluation/causal/ttt/{TASK}/0.parquet"
        yield Case("evaluation", [evaluation], "score")
        yield from self.cases_of_experts()

    def cases_of_experts(self) -> Iterator[Case]:
        """What is flipped of what experts are made from, and of them."""
        folder = self.folder / "experts/two"
        for step in ("train_expert 0", "evaluate_experts"):
            yield Case("model", _files(self.causal), step)
            yield Case("clusters", [folder / "clusters.safetensors"], step)
        yield Case("passages", self.passages, "train_expert 0")
        yield Case("list of passages", [self.folder / "passages/manifest.json"], "train_expert 0")
        yield Case("queries", [self.queries[list(TASKS).index(TASK)]], "evaluate_experts")
        vectors = self.folder / "queries/encoder.safetensors"
        yield Case("queries' embeddings", [vectors], "evaluate_experts")
        adapters = [folder / f"causal/{cluster}" for cluster in range(EXPERTS)]
        for name in ("adapter_model.safetensors", "adapter_config.json", "manifest.json"):
            yield Case(f"expert: {name}", [path / name for path in adapters], "evaluate_experts")
        for name in ("training.json", "manifest.json"):
            yield Case(f"expert: {name}", [path / name for path in adapters], "weigh_experts")
        yield Case("clusters' record", [folder / "clusters.json"], "weigh_experts")
        evaluation = self.folder / f"evaluation/causal/experts/{TASK}/0.parquet"
        yield Case("evaluation", [evaluation], "score")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _content(path: Path) -> bytes:
    """What a file says, without the time that it took and whatever surrounds it."""
    if path.suffix == ".parquet":
        table = pq.read_table(path, partitioning=None)
        kept = [name for name in table.column_names if name not in CLOCKS]
        return repr(table.select(kept).to_pylist()).encode()
    if path.suffix == ".npy":
        return np.load(path).tobytes()
    if path.suffix == ".safetensors":
        return repr([(k, v.tobytes()) for k, v in sorted(load_file(path).items())]).encode()
    if path.suffix == ".json":
        return repr(_without_clocks(json.loads(path.read_bytes()))).encode()
    return path.read_bytes()


def _without_clocks(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_clocks(each) for key, each in value.items() if key not in OF_CLOCKS}


def digest(folder: Path) -> str:
    """What a stage wrote below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            found.update(str(path.relative_to(folder)).encode() + _content(path))
    return found.hexdigest()


def run_apart(step: Step, out: Path) -> tuple[Outcome, str]:
    """Run a stage in a process of its own; how it ended, and its last words."""
    out.mkdir()
    said = out.with_suffix(".txt")
    child = os.fork()
    if child == 0:
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        status = 0
        try:
            step.run(out)
        except (ValueError, OSError) as error:
            print(f"\n{type(error).__name__}: {error}", flush=True)
            status = 3
        except BaseException:
            traceback.print_exc()
            status = 4
        os._exit(status)
    _, status = os.waitpid(child, 0)
    words = said.read_text(errors="replace").strip().splitlines() or [""]
    if os.WIFSIGNALED(status):
        return KILLED, f"signal {os.WTERMSIG(status)}"
    return {0: "", 3: NOTICED}.get(os.WEXITSTATUS(status), TRACEBACK), words[-1]


def flip(path: Path, bit: int) -> None:
    """Flip a bit of a file, and keep its time stamp."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def try_flips(
    pipeline: Pipeline, case: Case, flips: int, generator: random.Random, scratch: Path
) -> tuple[Counter[Outcome], list[str]]:
    """Outcomes of so many flips, and a line for each that should not have been."""
    step = pipeline.steps[case.step]
    expected = pipeline.expected(step, scratch / "expected")
    counts: Counter[Outcome] = Counter()
    bad = []
    for number in range(flips):
        path = generator.choice(case.files)
        bit = generator.randrange(8 * path.stat().st_size)
        out = scratch / str(number)
        flip(path, bit)
        try:
            outcome, words = run_apart(step, out)
        finally:
            flip(path, bit)
        if not outcome:
            outcome = HARMLESS if digest(out) == expected else SILENT
        counts[outcome] += 1
        if outcome in (SILENT, TRACEBACK, KILLED):
            bad.append(f"{outcome}: {case.step}, {path.name}, bit {bit}: {words}")
        shutil.rmtree(out)
    return counts, bad


def costs(pipeline: Pipeline, scratch: Path) -> Iterator[tuple[str, float, float, float]]:
    """Each stage's seconds, and those of them for digests and for waiting for the disk."""
    for step in pipeline.steps.values():
        profile = cProfile.Profile()
        started = time.perf_counter()
        profile.runcall(step.run, scratch / step.name.replace(" ", "-").replace("/", "-"))
        seconds = time.perf_counter() - started
        entries: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
        hashing = waiting = 0.0
        for (file, _, name), (_, _, own, total, _) in entries.items():
            if name == "block_digests":  # its threads are not profiled
                hashing += total
            elif any(part in name for part in HASHING) and "hashlib.py" not in file:
                hashing += own
            elif "posix.fsync" in name:
                waiting += own
        yield step.name, seconds, hashing, waiting


def main() -> None:
    """Build, flip, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=20, help="of each kind of file and stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--costs", action="store_true")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    durably, os.fsync = os.fsync, lambda descriptor: None  # no power is cut here
    faiss.omp_set_num_threads(1)  # a process with threads must not be forked
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with quiet(folder / "log"):
            pipeline = Pipeline(folder / "run")
        print("| file | stage | flips | " + " | ".join(OUTCOMES) + " |")
        print("|---|---" + "|--:" * (1 + len(OUTCOMES)) + "|")
        total: Counter[Outcome] = Counter()
        complaints = []
        for number, case in enumerate(pipeline.cases()):
            scratch = folder / f"case{number}"
            scratch.mkdir()
            counts, bad = try_flips(pipeline, case, options.flips, generator, scratch)
            shutil.rmtree(scratch)
            total += counts
            complaints += bad
            cells = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
            print(f"| {case.what} | {case.step} | {options.flips} | {cells} |", flush=True)
        cells = " | ".join(str(total[outcome]) for outcome in OUTCOMES)
        print(f"| all | | {sum(total.values())} | {cells} |")
        print("\n".join(complaints))
        if options.costs:
            os.fsync = durably
            with quiet(folder / "log"):
                table = list(costs(pipeline, folder / "costs"))
            print("\n| stage | seconds | digests, ms | disk, ms |\n|---|--:|--:|--:|")
            for name, seconds, hashing, waiting in table:
                print(f"| {name} | {seconds:.3f} | {1e3 * hashing:.1f} | {1e3 * waiting:.1f} |")
            sums = [sum(column) for column in list(zip(*table, strict=True))[1:]]
            print(
                f"| all | {sums[0]:.2f} | {1e3 * sums[1]:.1f} ({sums[1] / sums[0]:.2%}) "
                f"| {1e3 * sums[2]:.1f} ({sums[2] / sums[0]:.2%}) |"
            )
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
