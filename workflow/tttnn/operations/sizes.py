"""How much there is of what, before anything is computed: texts, passages, models."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tttnn.config.root import Config
from tttnn.corpus.formats import CorpusError
from tttnn.corpus.sources.local import LocalSource
from tttnn.demo.settings import DemoSource
from tttnn.models.kinds.local import LocalModel
from tttnn.models.kinds.train import TrainedModel
from tttnn.needs.rates import CPU, GPU, TEXT_BYTES
from tttnn.needs.scale import Scale, Texts
from tttnn.needs.shapes import HUB, UNKNOWN, Shape, of_architecture
from tttnn.pile import TASK_OF_SUBSET, TASKS
from tttnn.sections.model import Model

PUBLISHED = Path(__file__).parent.parent / "published"

PILE_DOCUMENTS, PILE_BYTES = 7.0e6, 43e9
"""A train shard of the Pile: documents and bytes of text (paper section 3)."""

SAMPLE_BYTES = 4_000_000  # of a local test file, to see how long its documents are
DEMO_BYTES = 1260  # text of a document of the demo corpus
GPT2_VOCABULARY = 50257  # where a configuration is silent

DOWNLOADED = (TEXT_BYTES, "50 MB of text a second, without the network")
GENERATED = (2e6, "2 MB of text written a second")
"""Bytes of text a second that a shard is made at, and from what (docs/performance.md)."""

MEAN_KIB = {
    "pile_arxiv": 46.61,
    "pile_bookcorpus2": 369.87,
    "pile_books3": 538.36,
    "pile_dm-mathematics": 8.00,
    "pile_enron": 1.78,
    "pile_europarl": 68.87,
    "pile_freelaw": 15.06,
    "pile_github": 5.25,
    "pile_gutenberg": 398.73,
    "pile_hackernews": 4.92,
    "pile_nih-exporter": 2.11,
    "pile_opensubtitles": 30.48,
    "pile_openwebtext2": 3.85,
    "pile_philpapers": 73.37,
    "pile_pile-cc": 4.33,
    "pile_pubmed-abstracts": 1.30,
    "pile_pubmed-central": 30.55,
    "pile_stackexchange": 2.16,
    "pile_ubuntu-irc": 545.48,
    "pile_uspto": 4.08,
    "pile_wikipedia": 1.11,
    "pile_youtubesubtitles": 22.55,
}
"""Mean size of a document in KiB (Gao et al. 2020, arXiv 2101.00027, Table 1)."""


def _local_shape(model: LocalModel) -> Shape:
    file = Path(model.path) / "config.json"
    if not file.is_file():
        return UNKNOWN
    values = json.loads(file.read_text(encoding="utf-8"))
    return of_architecture(values, values.get("vocab_size", GPT2_VOCABULARY), "its config.json")


def _trained_shape(model: TrainedModel) -> Shape:
    return of_architecture(model.architecture, model.vocabulary, "its architecture")


SHAPES: dict[str, Callable[[Any], Shape]] = {
    "huggingface": lambda model: HUB.get(model.id, UNKNOWN),
    "local": _local_shape,
    "train": _trained_shape,
}
"""By kind of model: its size. One of another kind is taken for GPT-2-Large, and says so."""


def shape(model: Model) -> Shape:
    """The size of a model; one that nobody knows is taken for GPT-2-Large, and says so."""
    return SHAPES.get(model.kind, lambda _: UNKNOWN)(model)


class _Shapes(dict[str, Shape]):
    """Sizes of a catalogue's models, each looked up when it is first asked for."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models

    def __missing__(self, name: str) -> Shape:
        self[name] = shape(self._models[name])
        return self[name]


class _Sample(NamedTuple):
    """The start of a held-out file: how much of the file it is, and its documents' text by task."""

    share: float
    expansion: float  # bytes of text by bytes of the file
    lengths: dict[str, list[int]]  # bytes


def _sample(file: Path) -> _Sample:
    from tttnn.corpus.documents import (
        read_documents,  # Arrow takes a while to load: where it is needed
    )
    from tttnn.corpus.raw import Progress

    lengths: dict[str, list[int]] = {}
    total, progress = 0, Progress()
    documents = read_documents(file, needs_subset=True, rejected=lambda _: None, progress=progress)
    with suppress(CorpusError):  # whoever reads the corpus says what is wrong with it
        for document in documents:
            assert document.pile_set_name is not None  # needs_subset
            length = len(document.text.encode())
            lengths.setdefault(TASK_OF_SUBSET[document.pile_set_name], []).append(length)
            total += length
            if total >= SAMPLE_BYTES:
                break
    read = progress.share * file.stat().st_size
    return _Sample(progress.share, total / max(read, 1), lengths)


def _local_texts(config: Config, source: LocalSource) -> Texts:
    """From the sizes of a folder's files, and the start of its test documents."""
    pile = _pile_texts(config)
    nothing = pile._replace(
        known=f"no files of text in {source.path} yet: taken for {pile.known}", provisional=True
    )
    found = (source.input_file(shard) for shard in config.shards)
    train = [file for file in found if file is not None]
    held = source.input_file("test")
    if held is None or len(train) < len(config.shards):
        return nothing
    sample = _sample(held)
    counts = {task: len(sizes) / sample.share for task, sizes in sample.lengths.items()}
    if not counts:
        return nothing
    means = {task: sum(sizes) / len(sizes) for task, sizes in sample.lengths.items()}
    mean = sum(counts[task] * means[task] for task in counts) / sum(counts.values())
    size = sample.expansion * sum(file.stat().st_size for file in train) / len(train)
    known = f"sizes of the files in {source.path}, documents as long as its first test documents"
    every = {task: counts.get(task, 0.0) for task in TASKS}
    lengths = {task: means.get(task, mean) for task in TASKS}
    return Texts(size / mean, size, _selected(config, every), lengths, known, *DOWNLOADED)


def _selected(config: Config, test: dict[str, float]) -> dict[str, float]:
    count, fraction = config.select.count, config.select.fraction
    if fraction is not None:
        return {task: fraction * documents for task, documents in test.items()}
    assert count is not None  # one of both is given
    return {task: min(count, documents) for task, documents in test.items()}


def _pile_texts(config: Config) -> Texts:
    with (PUBLISHED / "documents.csv").open(encoding="utf-8") as file:
        test = {row["task"]: float(row["test_documents"]) for row in csv.DictReader(file)}
    lengths = {task: 1024 * size for task, size in MEAN_KIB.items()}
    known = "the Pile: 7.0 million documents, 43 GB of text a shard (paper section 3)"
    return Texts(PILE_DOCUMENTS, PILE_BYTES, _selected(config, test), lengths, known, *DOWNLOADED)


def _demo_texts(config: Config, source: DemoSource) -> Texts:
    documents = source.train_documents
    test = dict.fromkeys(TASKS, source.test_documents / len(TASKS))
    lengths = dict.fromkeys(TASKS, float(DEMO_BYTES))
    known, size = "the demo's settings", documents * DEMO_BYTES
    return Texts(documents, size, _selected(config, test), lengths, known, *GENERATED)


TEXTS: dict[str, Callable[[Config, Any], Texts]] = {"demo": _demo_texts, "local": _local_texts}
"""By kind of source: what its settings or its files say. Others have the Pile's, and say so."""


def texts(config: Config) -> Texts:
    """From the source's own settings, the sizes of local files, or else what the Pile is."""
    source = config.source
    if source.kind in TEXTS:
        return TEXTS[source.kind](config, source)
    return _pile_texts(config)


def _published_seconds() -> dict[tuple[str, str], float]:
    """By model and task: seconds of training a neighbour on an A100, as published."""
    with (PUBLISHED / "seconds.csv").open(encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return {(r["model"], r["task"]): float(r["seconds_per_neighbor"]) for r in rows}


def scale(config: Config) -> Scale:
    """The sizes of a run, and what else formulas read of its configuration."""
    cells, on_gpu = config.cells(), config.environment == "gpu"
    return Scale(
        texts=texts(config),
        shapes=_Shapes(config.models),
        rates=GPU if on_gpu else CPU,
        on_gpu=on_gpu,
        memory_mb=config.memory_mb,
        step_seconds=_published_seconds() if on_gpu else {},
        shards=config.shards,
        embedders=config.embedders,
        built_indexes=config.built_indexes,
        cells=cells,
        parts=lambda method, task: len(config.parts(method, task)),
        models=config.models,
        indexes=config.indexes,
        lexical=config.lexical,
        pools=config.pools,
        windows=config.windows,
        embedded_by=config.embedded_by,
        selections=config.selections,
        experts=config.experts,
        methods=config.methods,
        chunk=config.chunk,
        embed=config.embed,
        embeddings=config.embeddings,
        search=config.search,
        gather=config.gather,
        select=config.select,
        validation=config.validation,
        long=config.long,
        score=config.score,
    )
