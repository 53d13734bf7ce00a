"""What an edit reruns: the modules that the costly stages reach, each entry a decision.

Add to a list only what the stage really needs: an edit of a module runs every stage again whose
list it is in. Embedding the Pile takes GPU months, evaluations thousands of GPU hours.
"""

from __future__ import annotations

import pytest

from tttnn.provenance import reached
from tttnn.sections.kinds import METHODS, SOURCES, engine
from tttnn.stages import MODULES

GROUND = "files digests sections.base sections.plain"
DOCUMENTS = (
    "pile corpus.documents corpus.formats corpus.layout corpus.meta corpus.raw corpus.records"
)
MODEL = (
    "reading models.folder models.model_files models.probes models.tensors models.tokenizer "
    "corpus.formats pile"  # what a file is that its name does not say
)
VECTORS = "models.representation sections.pooling"  # of tokens, which become one
RESUMES = "provenance resume"

REACHED = {
    "download_shard": f"corpus.download {DOCUMENTS} {GROUND} sections.kinds sections.source",
    "embed_chunk": f"retrieval.embed models.first_tokens retrieval.rows retrieval.tensors tables "
    f"environment {MODEL} {RESUMES} {GROUND} sections.embed {VECTORS}",
    "adopt_embeddings": f"retrieval.adopt retrieval.embed retrieval.published corpus.passages "
    f"models.first_tokens retrieval.rows retrieval.tensors tables environment {MODEL} {RESUMES} "
    f"{GROUND} sections.embed sections.embeddings {VECTORS}",
    "train_model": f"models.train models.examples models.processes models.kinds.train {MODEL} "
    f"{DOCUMENTS} journal {RESUMES} {GROUND} sections.model",
    "evaluate_part": "methods.evaluate methods.deal methods.kept methods.likelihood "
    "methods.measure methods.progress "
    "methods.snapshot methods.flop retrieval.tensors "
    f"models.tokens spans corpus.omissions journal tables environment {MODEL} {RESUMES} {GROUND} "
    "sections.budget sections.fitting sections.kinds sections.lengths sections.method",
}
REACHED["evaluate_windows"] = (
    f"{REACHED['evaluate_part']} methods.evaluate_windows methods.clock methods.ttt.engine "
    "methods.ttt.parts methods.ttt.precision methods.ttt.reuse methods.ttt.settings "
    "methods.ttt.state methods.windows.engine methods.windows.settings methods.windows.stretches"
)
ENGINES = {
    "ttt": "methods.ttt.engine methods.ttt.parts methods.ttt.precision methods.ttt.reuse "
    "methods.ttt.settings methods.ttt.state "
    f"methods.progress methods.snapshot retrieval.tensors files digests {RESUMES}",
    "ttt_stopping": "methods.ttt_stopping.engine methods.ttt_stopping.settings methods.ttt.engine "
    "methods.ttt.parts methods.ttt.precision methods.ttt.reuse methods.ttt.settings "
    "methods.ttt.state methods.progress "
    f"methods.snapshot retrieval.tensors files digests {RESUMES}",
    "in_context": "methods.in_context.engine methods.in_context.settings",
    "interpolate": "methods.interpolate.engine methods.interpolate.settings methods.mixing "
    "sections.mixture",
    "knn_lm": "methods.knn_lm.engine methods.knn_lm.settings methods.mixing sections.mixture",
}
EVERY_ENGINE = (
    "methods.clock methods.likelihood methods.measure models.tokens "
    "sections.base sections.budget sections.method sections.plain"
)


def names(module: str) -> set[str]:
    return {name.removeprefix("tttnn.") for name in reached(module)}


@pytest.mark.parametrize("stage", REACHED)
def test_a_costly_stage_reaches_these_modules_and_no_others(stage):
    assert names(MODULES[stage]) == set(REACHED[stage].split())


def test_both_trainings_are_one_module():
    assert MODULES["train_embedder"] == MODULES["train_model"]
    assert MODULES["embed_queries"] == MODULES["embed_chunk"]


@pytest.mark.parametrize("kind", ENGINES)
def test_an_evaluation_reaches_its_own_kind_of_method(kind):
    assert names(engine(METHODS, kind)) == {*ENGINES[kind].split(), *EVERY_ENGINE.split()}


def test_a_source_reaches_no_other():
    for kind in ("demo", "local", "http", "huggingface"):
        found = {name for name in names(engine(SOURCES, kind)) if "sources." in name}
        assert found == {f"corpus.sources.{kind}"}
