"""What jobs need: formulas are where they belong, and memory is what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import faiss
import pytest

import tttnn.corpus.passages
import tttnn.retrieval.approximate
import tttnn.retrieval.candidates
import tttnn.retrieval.chosen
import tttnn.retrieval.distances
import tttnn.retrieval.embed
import tttnn.retrieval.gather
import tttnn.retrieval.indexes.ivf.engine
import tttnn.retrieval.indexes.ivf.needs
import tttnn.retrieval.needs
import tttnn.retrieval.scored_needs
import tttnn.retrieval.search_windows
import tttnn.retrieval.text_needs
import tttnn.retrieval.texts
import tttnn.retrieval.words
from configured import read
from tttnn.config.figures import FIGURES
from tttnn.needs.kinds import load
from tttnn.needs.need import Need
from tttnn.needs.rates import MB, PANDAS, PYTHON, START_TORCH
from tttnn.needs.shapes import Shape
from tttnn.operations.costs import FORMULAS, Costs
from tttnn.operations.sizes import scale
from tttnn.pile import TASKS
from tttnn.provenance import reached
from tttnn.sections.kinds import (
    INDEXES,
    METHODS,
    MODELS,
    SELECTIONS,
    SOURCES,
    engine,
    kinds,
    settings,
)
from tttnn.sections.memory import room
from tttnn.stages import MODULES

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "workflow/tttnn"
RULES = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("rules/*.smk")))


def config(*settings: str):
    return read([], [*settings], ROOT / "config.yaml")


# --- where formulas are ------------------------------------------------------------------------


def test_every_rule_asks_for_what_its_own_formula_gives():
    blocks = re.split(r"^(?:use )?rule (?:\w+ as )?", RULES, flags=re.M)[1:]
    asked = {
        re.match(r"\w+", block)[0]: re.findall(r"^ +(?:mem_mb|runtime)=(.*),$", block, re.M)
        for block in blocks
    }
    assert asked == {rule: [f'cost.mem_mb("{rule}")', f'cost.runtime("{rule}")'] for rule in asked}
    assert set(asked) == set(FORMULAS)


def test_no_rule_asks_for_threads_by_the_formula_of_another():
    asked = re.findall(r"^rule (\w+):(?:(?!^rule ).)*?threads: (cost.*?)\n", RULES, re.M | re.S)
    assert len(asked) == 7
    for rule, threads in asked:
        assert re.fullmatch(rf'cost\.threads\("{rule}", most=(4|16)\)', threads), rule


def test_no_two_rooms_have_a_formula_of_one_rule():
    # a kind with rules of its own has their formulas beside its settings
    files = [file.read_text(encoding="utf-8") for file in PACKAGE.glob("**/*needs.py")]
    mappings = [text.partition("FORMULAS: dict[str, Formula] = {")[2] for text in files]
    named = list(chain(*(re.findall(r'"(\w+)":', text) for text in mappings)))
    assert sorted(named) == sorted(FORMULAS)


def test_no_stage_and_no_kind_reaches_a_formula():
    """Else an edit of an estimate would run it again."""
    modules = {
        *MODULES.values(),
        *(f"tttnn.figures.{figure.module}" for figure in FIGURES.values()),
    }
    for where in (INDEXES, METHODS, SELECTIONS, SOURCES):
        modules |= {engine(where, kind) for kind in kinds(where)}

    def formulas(module: str) -> list[str]:
        return [name for name in reached(module) if re.search(r"[._]needs\b", name)]

    assert {module: formulas(module) for module in modules} == {module: [] for module in modules}
    assert len(formulas("tttnn.operations.costs")) > 7  # what is looked for can be found


def test_formulas_stand_on_the_ground():
    """On sections, their own kinds, what a stage gives for it, a room's: arithmetic alone."""
    ground = {"needs", "sections", "pile"}
    for file in PACKAGE.glob("needs/*.py"):
        names = reached(f"tttnn.needs.{file.stem}") if file.stem != "__init__" else {}
        assert {name.split(".")[1] for name in names} <= ground, file
    for file in PACKAGE.glob("*/**/*needs.py"):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        names = {name for name in reached(module) if name.split(".")[1] not in ground} - {module}
        own = r"\.settings$|\.models\.kinds\.|\.exact_memory$|^tttnn\.(methods|retrieval)\.needs$"
        settings = {name for name in names if re.search(own, name)}
        assert names == settings, file


def test_every_kind_says_what_it_needs():
    for kind in kinds(METHODS):
        assert callable(load(METHODS, kind).passes)
    for kind in kinds(INDEXES):
        learns = ("learn", "merge_learnt", "fill") if settings(INDEXES, kind).LEARNS else ()
        functions = (*learns, "search")
        assert all(callable(getattr(load(INDEXES, kind), name)) for name in functions)


def test_a_kind_that_does_not_say_it_is_named_with_its_file_before_anything_runs():
    with pytest.raises(ValueError, match=r"write workflow/tttnn/retrieval/indexes/tree/needs\.py"):
        load(INDEXES, "tree")
    chosen = config()
    method = chosen.methods["ttt"].model_copy(update={"kind": "prayer"})
    chosen = chosen.model_copy(update={"methods": chosen.methods | {"ttt": method}})
    with pytest.raises(ValueError, match=r"write workflow/tttnn/methods/prayer/needs\.py"):
        Costs(chosen)


def test_a_rule_without_a_formula_is_an_error_when_rules_are_read():
    costs = Costs(config())
    for ask in (costs.mem_mb, costs.runtime):
        with pytest.raises(ValueError, match="rule bake has no formula"):
            ask("bake")


def test_a_model_of_a_kind_that_nobody_knows_says_so():
    model = SimpleNamespace(kind="elsewhere")
    assert tttnn.operations.sizes.shape(model).known == "unknown: taken for GPT-2-Large"
    assert (
        {"huggingface", "local", "train"}
        == set(kinds(MODELS))
        == set(tttnn.operations.sizes.SHAPES)
    )


# --- what formulas say -------------------------------------------------------------------------


def test_sizes_that_formulas_repeat_are_the_stages_own():
    needs, retrieval = tttnn.retrieval.needs, tttnn.retrieval
    texts, scored = retrieval.text_needs, retrieval.scored_needs
    assert needs.SORTED_AT_ONCE == retrieval.embed.SORTED_AT_ONCE
    assert needs.SPARE == retrieval.approximate.SPARE
    assert needs.GROUP_BYTES == retrieval.candidates.GROUP_BYTES
    assert needs.VECTOR_BYTES == retrieval.candidates.VECTOR_BYTES
    assert needs.CENTER_OF == retrieval.chosen.CENTER_OF
    assert scored.WORDS_AT_ONCE == retrieval.words.MOST_ROWS
    assert scored.WORD_BYTES == retrieval.words.WORD_BYTES
    assert scored.WINDOW_ROWS == retrieval.search_windows.MOST_ROWS
    assert scored.WINDOW_BYTES == retrieval.search_windows.NUMBER_BYTES
    assert needs.DISTANCE_COPIES == retrieval.distances.COPIES
    assert texts.GATHERED_AT_ONCE == retrieval.gather.QUERIES_AT_ONCE
    assert texts.GATHERED_TEXT == retrieval.gather.BYTES_AT_ONCE
    assert texts.COPIED_AT_ONCE == retrieval.texts.TEXTS_AT_ONCE
    assert texts.COPIED_TEXT == retrieval.texts.BYTES_AT_ONCE
    assert texts.ROW_GROUP == tttnn.corpus.passages.ROW_GROUP
    blocks = retrieval.vectors.VectorStore.blocks
    assert blocks.__defaults__ == (needs.BLOCK, 1.0)
    ivf = retrieval.indexes.ivf
    assert ivf.needs.KEPT == ivf.engine.KEPT


def needed(
    stage: str, factory: str, passages: int, shards: int, files: int, d: int, **index
) -> Need:
    """Of a corpus of so many passages and 220 queries with 50 candidates each."""
    name = "flat" if factory == "Flat" else "ivf"
    values = {"factory": f"'{factory}'", **index}
    entry = ", ".join(f"{key}: {value}" for key, value in values.items())
    settings = [f"indexes={{{name}: {{{entry}}}}}", f"chunk={{chunks_per_shard: {files}}}"]
    made = scale(config(*settings, "search={candidates: 50}"))
    texts = made.texts._replace(
        documents=passages / shards, selected=dict.fromkeys(TASKS, 220 / len(TASKS))
    )
    shapes = dict.fromkeys(made.models, Shape(1, d, 1, 1))
    made = replace(made, texts=texts, shapes=shapes, shards=list(map(str, range(shards))))
    return FORMULAS[stage](made, {"index": name, "shard": "0", "queries": "test"})


MEASURED = [  # MB beyond the imports, 2026-11-27
    ("train_shard_index", "IVF16,Flat", 80_000, 2, 1, 512, {"sample_per_shard": 40_000}, 249),
    ("merge_training", "IVF1024,Flat", 64_000, 8, 1, 1024, {"sample_per_shard": 2_000}, 224),
]


@pytest.mark.parametrize("case", MEASURED, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_memory_is_what_was_measured(case):
    """By benchmarks/memory.py, as if each row were its options; the formulas may be above it."""
    stage, factory, passages, shards, files, d, index, used = case
    imports = PYTHON + (PANDAS if stage == "measure_recall" else 0)
    expected = (needed(stage, factory, passages, shards, files, d, **index).memory - imports) / MB
    assert 0.95 * used < expected < 1.65 * used


IN_PARTS = ("fill_shard_index", "search_shard", "merge_candidates", "measure_recall")


@pytest.mark.parametrize("memory_mb", [2000, 4000])
def test_no_job_asks_for_more_than_memory_mb_whatever_the_corpus(memory_mb):
    for documents in (1000, 10_000_000):
        chosen = config(
            f"memory_mb={memory_mb}", f"sources={{demo: {{train_documents: {documents}}}}}"
        )
        costs = Costs(chosen)
        job = {"index": "ivf", "selection": "sift", "shard": "00", "queries": "test"}
        for rule in (*IN_PARTS, "choose_neighbors", "draw_random", "measure_distances"):
            asked = [costs.mem_mb(rule)(job, attempt) for attempt in (1, 3)]
            assert max(asked) <= memory_mb, rule
            if documents == 1000:
                assert asked[0] == 1000
    assert costs.mem_mb("fill_shard_index")(job, 1) == memory_mb


def test_threads_are_for_work_that_takes_longer_than_to_start():
    job = {"index": "ivf", "shard": "00", "queries": "test"}
    for documents, expected in ((1000, 1), (10_000_000, 16)):
        costs = Costs(config(f"sources={{demo: {{train_documents: {documents}}}}}"))
        assert costs.threads("search_shard", most=16)(job) == expected


def test_what_a_job_asks_for_is_room_enough_for_what_it_needs():
    """The stage works in as much as `room` says of what the rule asked for."""
    costs = Costs(config("memory_mb=100000", "sources={demo: {train_documents: 3000000}}"))
    job = {"index": "ivf", "shard": "00", "queries": "test"}
    for rule in IN_PARTS:
        needed, asked = costs.of(rule, job).memory - PYTHON, costs.mem_mb(rule)(job, 1)
        assert room(asked) >= needed - PANDAS or asked == 1000, rule


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "ivf: {sample_per_shard: 2000000}",
            r"train_shard_index of index ivf needs at least \d+: ",
        ),
        ("ivf: {factory: 'IVF64,RaBitQfs'}", r"fill_shard_index of index ivf needs at least \d+: "),
    ],
)
def test_too_little_memory_for_an_index_is_said_before_anything_runs(entry, message):
    large = "sources={demo: {train_documents: 20000000}}"
    message = r"memory_mb \(1000\): " + message + "raise memory_mb"
    with pytest.raises(ValueError, match=message):
        Costs(config("memory_mb=1000", large, f"indexes={{{entry}}}"))


@pytest.mark.parametrize(
    "factory",
    [
        *(f"IVF4,{code}" for code in ("Flat", "SQ8", "SQfp16", "PQ8", "PQ16x4")),
        *("OPQ8,IVF4,PQ8", "IVF4,RaBitQ", "IVF4,RaBitQfs"),
    ],
)
def test_a_vector_takes_what_faiss_says_that_its_code_takes(factory):
    code = faiss.extract_index_ivf(faiss.index_factory(16, factory)).code_size
    disk = needed("fill_shard_index", factory, 40_000, 2, 1, 16).disk
    assert disk == pytest.approx(20_000 * (code + 8))  # and the id


# --- windows -----------------------------------------------------------------------------------


def test_queries_that_are_windows_are_more_and_shorter():
    """A document of the demo has 1,260 bytes, 315 tokens: 5 windows of 63, or the 2 first."""
    sizes = scale(config("long={tokens: 63}"))
    assert sizes.by_window.queries == pytest.approx(5 * sizes.queries)
    assert sizes.by_window.query_bytes == pytest.approx(sizes.query_bytes)
    assert scale(config("long={tokens: 63, most: 2}")).by_window.queries == 2 * sizes.queries
    costs = Costs(config("long={tokens: 63}"))
    seconds = {
        queries: costs.of("embed_queries", {"queries": queries, "embedder": "embedder"}).seconds
        for queries in ("test", "halves", "target", "past")
    }
    assert seconds["test"] == seconds["halves"] < seconds["target"] == seconds["past"]


def test_each_windows_neighbours_are_a_documents():
    """Five windows with as many neighbours each take five times a document's training."""
    costs = Costs(config("long={tokens: 63}", "evaluate={methods: [long], models: [small]}"))
    cell = {"model": "small", "task": "pile_github", "part": "0"}
    seconds = {
        name: costs.of("evaluate_windows", cell | {"method": name}).seconds - START_TORCH
        for name in ("long_document", "long_target", "long_past_carry")
    }
    assert seconds["long_target"] == pytest.approx(5 * seconds["long_document"])
    assert seconds["long_past_carry"] > seconds["long_target"]  # anew for each number of them


def test_scored_windows_that_are_learnt_beside_neighbours_take_a_copy_and_moments_more():
    """As measured with SmolLM2-135M: 6.0 GB where training alone took 4.1, 0.54 GB a copy."""
    methods = config("evaluate={methods: [long], models: [small]}").methods
    names = ("ttt", "long_past", "score_first", "score_first_past")
    alone, past, first, both = (
        load(METHODS, methods[name].kind).passes(methods[name]).copies for name in names
    )
    assert alone == past == first
    assert both == past + 3
