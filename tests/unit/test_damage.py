"""Each file that a stage reads, damaged in each of four ways: one line that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import pytest

from tiny import save_causal, save_encoder
from tttnn.command import main
from tttnn.pile import TASKS
from tttnn.published import load
from tttnn.published.names import MODELS
from tttnn.stages import MODULES

TASK = "pile_arxiv"
MODEL = MODELS[0]
WORDS = ["river", "stones", "under", "the", "bridge", "runs", "where", "nobody", "looked", "for"]
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json")
EXPERT_FILES = ("adapter_config.json", "adapter_model.safetensors", "manifest.json")
INDEX = {"kind": "ivf", "embedder": "embedder", "factory": "IVF4,Flat"}
TRAINED = {
    "kind": "train", "vocabulary": 260, "documents": 4, "steps": 1, "batch_size": 1,
    "sequence_tokens": 16, "learning_rate": 1e-3,
}  # fmt: skip
SMALL = {"n_embd": 8, "n_layer": 1, "n_head": 1, "n_positions": 16}
ENCODER = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
    "max_position_embeddings": 18,
}  # fmt: skip
RECIPE = {
    "kind": "ttt", "num_neighbors": 2, "evaluate_at": [0, 2], "learning_rate": 1e-4, "window": 32,
}  # fmt: skip
LONG = RECIPE | {"kind": "windows", "query": "document"}
NO_NEIGHBORS = {"num_neighbors": 0, "evaluate_at": [0]}
CLUSTERS = 2
MERGED = {  # every expert, for every document
    "kind": "experts", "experts": "two", "evaluate_at": [0, CLUSTERS],
    "tau": 0.0, "beta": 1.0, "window": 32,
}  # fmt: skip


class Call(NamedTuple):
    """A stage's command line, and files that it reads."""

    words: list[str]
    reads: list[Path]


def words(stage: str, values: dict) -> list[str]:
    found = [stage]
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif isinstance(value, dict):
            found += [option, json.dumps(value)]
        else:
            found += [option, *map(str, value if isinstance(value, list) else [value])]
    return found


def write_pile(folder: Path) -> None:
    """Two train shards and the held-out ones, of two tasks."""
    generator = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    for name in ("train/00", "train/01", "val", "test"):
        records = [
            {
                "text": " ".join(generator.choice(WORDS, 16)),
                "meta": {"pile_set_name": ("ArXiv", "Github")[number % 2]},
            }
            for number in range(12)
        ]
        lines = (json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text("".join(lines))


class Pipeline:
    """All stages run once, in order; `calls` has each stage's last one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: dict[str, Call] = {}

    def run(self, stage: str, *reads: Path, **values) -> None:
        """Run a stage: what is there already of its paths is read, and `reads` in folders."""
        flat = [
            each
            for value in values.values()
            for each in (value if isinstance(value, list) else [value])
        ]
        files = [path for path in flat if isinstance(path, Path) and path.is_file()]
        call = Call(words(stage, values), [*dict.fromkeys([*files[:2], *reads])])
        main(call.words)
        self.calls[stage] = call


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    made = Pipeline(tmp_path_factory.mktemp("run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TTTNN_TRACEBACK", raising=False)
        build(made)
    return made


def build(made: Pipeline) -> None:
    run, at = made.run, made.folder
    pile, models = at / "pile", at / "models"
    write_pile(pile)
    source = {"source": {"kind": "local", "path": str(pile)}, "shards": 2}
    for shard in ("test", "val", "01", "00"):
        run(
            "download_shard", pile / "train/00.jsonl", shard=shard,
            spec=source | {"on_bad_record": "fail", "train_has_subsets": True},
            documents=at / f"corpus/{shard}.jsonl.zst", manifest=at / f"corpus/{shard}.json",
            rejected=at / f"corpus/{shard}.rejected.jsonl",
        )  # fmt: skip
    corpus = {shard: at / f"corpus/{shard}.jsonl.zst" for shard in ("00", "01", "val", "test")}
    for name, save in (("embedder", save_encoder), (MODEL, save_causal)):
        given = save(at / "given" / name)
        causal = {"causal": True} if save is save_causal else {}
        spec = {"kind": "local", "path": str(given)}
        run(
            "fetch_model", *(given / file for file in MODEL_FILES), spec=spec,
            output=models / name, **causal,
        )  # fmt: skip
    used = {
        name: [models / name / f for f in (*MODEL_FILES, "manifest.json")]
        for name in (MODEL, "embedder")
    }
    for stage, objective, architecture in (
        ("train_model", "causal", {"model_type": "gpt2", **SMALL}),
        ("train_embedder", "masked", {"model_type": "roberta", **ENCODER}),
    ):
        spec = {**TRAINED, "objective": objective, "architecture": architecture}
        run(stage, spec=spec, train=[corpus["00"]], val=corpus["val"], output=models / stage)
    window = {
        "chunks_per_shard": 1,
        "unit": "window",
        "tokenizer": MODEL,
        "window_tokens": 32,
        "stride_tokens": 32,
    }
    for shard in ("01", "00"):
        run(
            "chunk_shard", models / MODEL / "tokenizer.json", spec=window, number=int(shard),
            documents=corpus[shard], manifest=at / f"corpus/{shard}.json",
            chunks=[at / f"passages/{shard}/0.parquet"], tokenizer=[models / MODEL],
        )  # fmt: skip
    passages = [at / f"passages/{shard}/0.parquet" for shard in ("00", "01")]
    run("list_passages", passages=passages, manifest=at / "passages/manifest.json")
    queries = {}
    for split in ("val", "test"):
        queries[split] = [at / f"queries/{split}/{task}.parquet" for task in TASKS]
        run(
            "select_documents", spec={"count": 2}, documents=corpus[split],
            manifest=at / f"corpus/{split}.json", queries=queries[split],
            selection=at / f"queries/{split}/selection.json",
        )  # fmt: skip
    test = queries["test"]
    run(
        "split_documents", *used[MODEL], spec={"tokens": 16}, queries=test, model=models / MODEL,
        outputs=[at / f"queries/halves/{task}.parquet" for task in TASKS],
    )  # fmt: skip
    embeddings = [at / f"embeddings/embedder/{shard}/0.npy" for shard in ("00", "01")]
    embed = {"max_tokens": 60, "batch_tokens": 512}
    for text, vectors in zip(passages, embeddings, strict=True):
        run(
            "embed_chunk", *used["embedder"], spec=embed, passages=text, model=models / "embedder",
            output=vectors, manifest=vectors.with_suffix(".json"),
        )  # fmt: skip
    vectors = at / "embeddings/embedder/test.npy"
    run(
        "embed_queries", *used["embedder"], spec=embed, queries=test, model=models / "embedder",
        output=vectors,
    )  # fmt: skip
    cut = at / "queries/test/windows/embedder.safetensors"
    run(
        "embed_windows", *used["embedder"], test[0], spec={"embed": embed, "most": 3},
        queries=test, model=models / "embedder", output=cut,
    )  # fmt: skip
    beside = [path.with_suffix(".json") for path in embeddings]
    lists = [at / f"embeddings/embedder/{shard}.json" for shard in ("00", "01")]
    for text, own, beside_it, listed in zip(passages, embeddings, beside, lists, strict=True):
        run("list_embeddings", beside_it, passages=[text], embeddings=[own], output=listed)
    published = at / "vectors/00.jsonl.index"
    published.parent.mkdir()
    flat = faiss.IndexFlatL2(np.load(embeddings[0]).shape[1])
    flat.add(np.load(embeddings[0]))
    faiss.write_index(flat, str(published))
    run(
        "adopt_embeddings", *used["embedder"], at / "corpus/00.json",
        spec={"embed": embed, "sample": 8, "tolerance": 0.2}, published=published,
        passages=[passages[0]], corpus=at / "corpus/00.json",
        rejected=at / "corpus/00.rejected.jsonl", model=models / "embedder",
        output=at / "embeddings/adopted/00.json",
    )  # fmt: skip
    room = {"memory_mb": 4000}
    index = at / "indexes/ivf"
    learnt = [index / f"trained/{shard}.safetensors" for shard in ("00", "01")]
    filled = [index / f"shards/{shard}.faiss" for shard in ("00", "01")]
    for stage, outputs in (("train_shard_index", learnt), ("fill_shard_index", filled)):
        for number, output in enumerate(outputs):
            trained = {"trained": index / "trained.faiss"} if stage == "fill_shard_index" else {}
            run(
                stage, beside[number], embeddings[number], passages[number], spec={"index": INDEX},
                **trained, embeddings=lists[number], output=output, **room,
            )  # fmt: skip
        if stage == "train_shard_index":
            run(
                "merge_training",
                spec={"index": INDEX},
                shards=learnt,
                output=index / "trained.faiss",
                **room,
            )
    merged = index / "merged"
    run(
        "merge_index", *filled, passages[0], beside[0], spec={"index": INDEX},
        trained=index / "trained.faiss", shards=filled, embeddings=lists, output=merged, **room,
    )  # fmt: skip
    inside = [merged / name for name in ("manifest.json", "trained.faiss", "01.faiss")]
    built = {"kind": "ivf", "factory": INDEX["factory"], "share": 1.0}
    searched = built | {"asked": {"kind": "ivf", "nprobe": 4}}
    found = {"queries": test, "vectors": vectors, "embeddings": lists, **room}
    read = [test[0], vectors, passages[0], embeddings[0], beside[0], lists[0]]
    near = [at / f"candidates/test/ivf/{task}.parquet" for task in TASKS]
    far = [at / f"candidates/test/random/{task}.parquet" for task in TASKS]
    picked = [at / f"candidates/test/sift/{task}.parquet" for task in TASKS]
    of_shards = [at / f"found/test/ivf/{shard}.parquet" for shard in ("00", "01")]
    for number, output in enumerate(of_shards):
        own = [passages[number], embeddings[number], beside[number]]
        run(
            "search_shard", vectors, *own, lists[number], filled[number], vectors=vectors,
            spec={"candidates": 5, **searched}, index=[filled[number]],
            embeddings=lists[number], output=output, **room,
        )  # fmt: skip
    run(
        "merge_candidates", *of_shards, inside[0], spec={"candidates": 5}, found=of_shards,
        index=[merged], queries=test, outputs=near, **room,
    )  # fmt: skip
    run("draw_random", *read, spec={"candidates": 5, "seed": 0}, **found, outputs=far)
    selection = {"kind": "sift", "index": "ivf", "picks": 3}
    run(
        "choose_neighbors", *read, spec={"selection": selection}, candidates=near, **found,
        outputs=picked,
    )  # fmt: skip
    scored = {"candidates": 5, "max_words": 100, "k1": 1.5, "b": 0.75}
    counted = [at / f"found/test/bm25/words/{shard}.safetensors" for shard in ("00", "01")]
    by_words = [at / f"found/test/bm25/{shard}.parquet" for shard in ("00", "01")]
    for number, output in enumerate(counted):
        run(
            "count_words", passages[number], test[0], spec={"max_words": 100}, queries=test,
            passages=[passages[number]], output=output,
        )  # fmt: skip
    for number, output in enumerate(by_words):
        run(
            "search_words", passages[number], test[0], *counted, spec=scored, queries=test,
            passages=[passages[number]], counts=counted, output=output, **room,
        )  # fmt: skip
    run(
        "merge_scored", *read, *by_words, spec={"candidates": 5}, found=by_words, **found,
        outputs=[at / f"candidates/test/bm25/{task}.parquet" for task in TASKS],
    )  # fmt: skip
    by_windows = [at / f"found/test/mean/{shard}.parquet" for shard in ("00", "01")]
    for number, output in enumerate(by_windows):
        run(
            "search_windows", passages[number], embeddings[number], beside[number], lists[number],
            cut, spec={"candidates": 5, "by": "mean"}, embeddings=lists[number], windows=cut,
            output=output, **room,
        )  # fmt: skip
    turns = {"kind": "turns", "index": "ivf", "picks": 3}
    run(
        "choose_windows", test[0], cut, passages[0], embeddings[0], beside[0], lists[0],
        spec={"selection": turns}, candidates=near, queries=test, windows=cut, embeddings=lists,
        outputs=[at / f"candidates/test/turns/{task}.parquet" for task in TASKS], **room,
    )  # fmt: skip
    pooled = [at / f"candidates/test/elsewhere/{task}.parquet" for task in TASKS]
    run(
        "pool_candidates", *read, near[0],
        spec={"pool": {"kind": "elsewhere", "of": "ivf", "seed": 0}}, sources=near, **found,
        outputs=pooled,
    )  # fmt: skip
    recall = index / "recall.csv"
    run(
        "measure_recall", *inside, *read, spec={"queries": 9, "at": [1, 5], **searched},
        index=[merged], name="ivf", candidates=near, **found, output=recall,
        made=index / "made.json", rates=index / "rates.csv",
    )  # fmt: skip
    tables = at / "tables"
    run(
        "measure_distances", spec={"indexes": {"ivf": {"share": 1.0, "embedder": "embedder"}}},
        candidates=[*near, *far], distances=tables / "distances.csv",
        pairs=tables / "pairs.parquet", **room,
    )  # fmt: skip
    place = list(TASKS).index(TASK)
    wanted = [at / f"texts/wanted/{shard}.parquet" for shard in ("00", "01")]
    run("want_texts", spec={"depth": 3}, candidates=near, outputs=wanted)
    copies = [at / f"texts/{path.name}" for path in wanted]
    for listing, text, copy in zip(wanted, passages, copies, strict=True):
        run("collect_texts", wanted=listing, passages=[text], output=copy)
    run("list_passages", passages=copies, manifest=at / "texts/manifest.json")
    texts = at / f"neighbors/test/ivf/{TASK}.parquet"
    run(
        "gather_neighbors", passages[0], at / "passages/manifest.json", *copies, spec={"depth": 3},
        candidates=near[place], queries=test[place], passages=at / "passages/manifest.json",
        texts=at / "texts/manifest.json", output=texts,
    )  # fmt: skip
    held_out = at / f"validation/{MODEL}/ttt/{TASK}/0.parquet"
    evaluation = {"recipe": RECIPE, "parts": 1, "max_overlap": None, "stops": False}
    run(
        "evaluate_part", spec=evaluation | {"recipe": RECIPE | NO_NEIGHBORS}, model=models / MODEL,
        queries=at / f"queries/val/{TASK}.parquet", neighbors=[], method="ttt", task=TASK, part=0,
        output=held_out,
    )  # fmt: skip
    chosen = at / f"tuned/{MODEL}/ttt.json"
    point = {"method": "ttt", "candidates": "ivf", "settings": {}}
    grid = {"run": "some", "by": "all", "tasks": [TASK], "points": [point], "num_neighbors": [0]}
    run(
        "choose_settings", held_out, spec=grid | {"resamples": 10}, results=at,
        selection=at / "queries/val/selection.json", model=MODEL, method="ttt", output=chosen,
    )  # fmt: skip
    afforded = {
        "hours": 1, "select": {"count": 2}, "documents": {TASK: 4}, "jobs": {TASK: 1},
        "document": {TASK: 1},
    }  # fmt: skip
    run(
        "list_hours", spec={"run": "some", "afforded": afforded},
        selection=at / "queries/test/selection.json", table=at / "tables/hours.csv",
    )  # fmt: skip
    run("list_choices", records=[chosen], table=at / "tables/tuning.csv")
    run(
        "evaluate_tuned", *used[MODEL], chosen, texts,
        spec={"evaluation": evaluation, "candidates": ["ivf"], "stops": []}, model=models / MODEL,
        queries=test[place], neighbors=[texts], tuned=chosen, method="ttt", task=TASK, part=0,
        output=at / f"evaluation/{MODEL}/tuned/{TASK}/0.parquet",
    )  # fmt: skip
    measured = at / f"evaluation/{MODEL}/ttt/{TASK}/0.parquet"
    run(
        "evaluate_part", *used[MODEL],
        spec=evaluation, model=models / MODEL, queries=test[place], neighbors=[texts],
        method="ttt", task=TASK, part=0, output=measured,
    )  # fmt: skip
    cut = {
        name: [at / f"queries/{name}/{task}.parquet" for task in TASKS]
        for name in ("target", "past")
    }
    run(
        "cut_windows", *used[MODEL], spec={"tokens": 16, "past_tokens": 8, "most": None},
        queries=test, model=models / MODEL, targets=cut["target"], pasts=cut["past"],
    )  # fmt: skip
    by_window = at / f"windows/{MODEL}/long/{TASK}/0.parquet"
    run(
        "evaluate_windows", *used[MODEL],
        spec={"recipe": LONG, "parts": 1, "max_overlap": None, "stops": False},
        model=models / MODEL, windows=cut["target"][place], neighbors=[texts], method="long",
        task=TASK, part=0, output=at / f"evaluation/{MODEL}/long/{TASK}/0.parquet",
        scored=by_window,
    )  # fmt: skip
    run(
        "score_windows", by_window, results=at, table=at / "tables/positions.csv",
        spec={"run": "some", "cells": [[MODEL, "long", TASK, 1]], "resamples": 10},
    )  # fmt: skip
    experts = build_experts(made, embeddings[0], beside[0], lists, used[MODEL], passages[0])
    run(
        "evaluate_experts", *used[MODEL], vectors, experts.clusters,
        *(experts.adapters[-1] / name for name in EXPERT_FILES),
        spec=evaluation | {"recipe": MERGED, "trained_by": None}, model=models / MODEL,
        queries=test[place], neighbors=[], clusters=experts.clusters, adapters=experts.adapters,
        vectors=vectors, method="experts", task=TASK, part=0,
        output=at / f"evaluation/{MODEL}/experts/{TASK}/0.parquet",
    )  # fmt: skip
    scored = {
        "run": "some", "candidates": {"ttt": "ivf", "experts": None},
        "cells": [[MODEL, name, TASK, 1] for name in ("ttt", "experts")],
        "mixtures": {}, "halves": [], "budgets": {}, "resamples": 10, "searched": {"ivf": ["ivf"]},
        "selections": [],
    }  # fmt: skip
    counted = [at / f"corpus/{shard}.json" for shard in ("00", "01", "test")]
    selections = [at / f"queries/{split}/selection.json" for split in ("test", "val")]
    run(
        "score", measured, counted[0], recall, spec=scored, results=at, selections=selections,
        manifests=counted, recalls=[recall], vectors=[vectors], tables=tables,
    )  # fmt: skip
    run(
        "weigh_experts", tables / "efficiency.csv", experts.record,
        *(experts.adapters[-1] / name for name in ("manifest.json", "training.json")),
        spec={"run": "some", "experts": {"experts": "two"}, "counts": {"experts": "experts"},
              "against": {"experts": ["ttt"]}},
        results=at, table=tables / "experts.csv",
    )  # fmt: skip
    run(  # of a single task no mean is drawn, whose missing tasks `tasks.csv` would tell
        "draw_figure", *(tables / f"{name}.csv" for name in ("scores", "differences")),
        spec={"name": "curves", "module": "curves"}, tables=tables,
        svg=at / "figures/curves.svg", pdf=at / "figures/curves.pdf",
    )  # fmt: skip
    score = {"confidence": 0.95, "resamples": 10, "seed": 0}
    config = {"run": "some", "score": score, "models": {}, "methods": {"ttt": RECIPE}}
    (at / "config.json").write_text(json.dumps(config))
    shown = [tables / f"{name}.csv" for name in ("scores", "differences", "tasks")]
    package = Path(main.__globals__["__file__"]).parent
    run(
        "write_report", *shown, tables / "documents.parquet", at / "figures/curves.svg",
        at / "config.json",
        spec={"run": "some", "figures": [], "left_out": [], "models": [], "source": "local"},
        results=at, figures=[at / "figures/curves.svg"], tables=shown, captions=[],
        page=sorted((package / "report").glob("page.*")), citation=[], output=at / "report.html",
    )  # fmt: skip
    data = shutil.copytree(Path(load.__file__).parent, at / "published")
    known = {
        name: at / f"paper/{name}.csv"
        for name in ("scores", "differences", "costs", "tasks", "table1")
    }
    run(
        "published_tables",
        *(data / f"{name}.csv" for name in ("documents", "table1", "baselines")),
        data / "curves.parquet", data=data, **known, latex=at / "paper/table1.tex",
    )  # fmt: skip
    run(
        "paper_figures",
        known["scores"],
        known["tasks"],
        tables=at / "paper",
        figures=at / "figures/paper",
    )
    run(
        "compare_published",
        *(tables / f"{name}.csv" for name in ("scores", "differences", "tasks")),
        data / "curves.parquet", data / "documents.csv", spec={"count": 2}, data=data,
        tables=tables, table=at / "side_by_side.csv",
    )  # fmt: skip
    run(
        "compare_follow_ups",
        data / "follow_ups.csv",
        *(tables / f"{name}.csv" for name in ("scores", "differences")),
        data=data,
        tables=tables,
        table=at / "follow_ups.csv",
    )
    run(
        "draw_side_by_side", table=at / "side_by_side.csv", svg=at / "side.svg", pdf=at / "side.pdf"
    )  # fmt: skip


class Experts(NamedTuple):
    """Clusters and the experts of one model."""

    clusters: Path
    record: Path
    adapters: list[Path]


def build_experts(
    made: Pipeline, embeddings: Path, beside: Path, lists: list[Path], model: list[Path],
    passages: Path,
) -> Experts:  # fmt: skip
    """Cluster the passages, and train the expert of each cluster."""
    folder = made.folder / "experts/two"
    experts = Experts(
        folder / "clusters.safetensors",
        folder / "clusters.json",
        [folder / MODEL / str(number) for number in range(CLUSTERS)],
    )
    made.run(
        "cluster_passages", *lists, embeddings, beside, passages,
        spec={"clusters": CLUSTERS, "sample": 1000, "passages": 4, "center": True},
        embeddings=lists, output=experts.clusters, record=experts.record, memory_mb=4000,
    )  # fmt: skip
    listed = made.folder / "passages/manifest.json"
    for number, adapter in enumerate(experts.adapters):
        made.run(
            "train_expert", *model, experts.clusters, listed, passages,
            spec={"rank": 2, "passage_windows": 1, "window": 16},
            model=made.folder / "models" / MODEL, clusters=experts.clusters, passages=listed,
            cluster=number, output=adapter,
        )  # fmt: skip
    return experts


def damages(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Ways in which a file is not what it was."""
    yield "empty", b""
    yield "garbage", np.random.default_rng(0).bytes(max(64, len(content) // 3))
    # a table in CSV has no digest: that it ends early shows where it ends within a line
    yield "cut in half", content[: len(content) // 2].rstrip(b"\n")
    yield "a page of HTML", b"<!doctype html>\n<html><body>Not found</body></html>\n"


@pytest.mark.parametrize("stage", MODULES)
def test_a_damaged_file_is_named_in_one_line(stage, pipeline, monkeypatch):
    monkeypatch.delenv("TTTNN_TRACEBACK", raising=False)
    call = pipeline.calls[stage]
    assert call.reads
    for kept in pipeline.folder.glob("evaluation/**/.*.documents.gz"):
        kept.unlink()  # of documents whose rows are there, no model is read
    faults = []
    for path in call.reads:
        whole = path.read_bytes()
        for damage, content in damages(whole):
            path.write_bytes(content)
            what = f"{path.relative_to(pipeline.folder)}, {damage}:"
            try:
                main(call.words)
            except SystemExit as ended:
                said = str(ended.code)
                if not said.startswith(f"tttnn {stage}: ") or "\n" in said:
                    faults.append(f"{what} says {said}")
                elif path.name not in said:
                    faults.append(f"{what} is not named: {said}")
            except Exception as error:
                faults.append(f"{what} ends in {error!r}")
            else:
                faults.append(f"{what} is not noticed")
            finally:
                path.write_bytes(whole)
    assert not faults, "\n".join(faults)
    main(call.words)  # and whole, they are as good as before
