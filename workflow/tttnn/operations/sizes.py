"""How much there is of what, before anything is computed: texts, passages, models."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tttnn.config.root import Config
from tttnn.corpus.formats import CorpusError
from tttnn.pile import TASK_OF_SUBSET, TASKS
from tttnn.sections.model import Model

PUBLISHED = Path(__file__).parent.parent / "published"

PILE_DOCUMENTS, PILE_BYTES = 7.0e6, 43e9
"""A train shard of the Pile: documents and bytes of text (paper section 3)."""

SAMPLE_BYTES = 4_000_000  # of a local test file, to see how long its documents are
TOKEN_BYTES = 4.0  # text of a token, with a vocabulary of 50,000
DEMO_BYTES = 1260  # text of a document of the demo corpus

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


class Texts(NamedTuple):
    """The corpus: of a train shard, and of the test documents of each task; `known` says whence."""

    documents: float
    bytes: float
    selected: dict[str, float]
    document_bytes: dict[str, float]
    known: str


class Shape(NamedTuple):
    """A transformer: layers, width, vocabulary, and parameters without the embeddings."""

    layers: int
    width: int
    vocabulary: int
    body: float
    known: str = "its published size"

    @property
    def parameters(self) -> float:
        """All of them; input and output embeddings are one."""
        return self.body + self.vocabulary * self.width

    def forward(self, tokens: float, *, logits: bool = True) -> float:
        """FLOP of a token that is one of `tokens` in its window."""
        head = 2 * self.vocabulary * self.width if logits else 0
        return 2 * self.body + 4 * self.layers * tokens * self.width + head


HUB = {
    "openai-community/gpt2": Shape(12, 768, 50257, 85e6),
    "openai-community/gpt2-large": Shape(36, 1280, 50257, 708e6),
    "openai-community/gpt2-xl": Shape(48, 1600, 50257, 1475e6),
    "EleutherAI/gpt-neo-1.3B": Shape(24, 2048, 50257, 1208e6),
    "Qwen/Qwen2.5-0.5B": Shape(24, 896, 151936, 358e6),
    "Qwen/Qwen2.5-1.5B": Shape(28, 1536, 151936, 1310e6),
    "meta-llama/Llama-3.2-1B": Shape(16, 2048, 128256, 973e6),
    "microsoft/Phi-3-mini-4k-instruct": Shape(32, 3072, 32064, 3723e6),
    "socialfoundations/roberta-large-pile-lr2e-5-bs16-8gpu-1700000": Shape(24, 1024, 50265, 302e6),
}


def _shape(values: dict[str, Any], vocabulary: int, known: str) -> Shape:
    """From an architecture as transformers spells it; GPT-2's defaults where it says nothing."""

    def first(names: tuple[str, ...], default: int) -> int:
        return next((values[name] for name in names if values.get(name)), default)

    width = first(("n_embd", "hidden_size", "d_model"), 768)
    layers = first(("n_layer", "num_hidden_layers", "num_layers"), 12)
    inner = first(("n_inner", "intermediate_size"), 4 * width)
    return Shape(layers, width, vocabulary, layers * (4 * width**2 + 2 * width * inner), known)


def shape(model: Model) -> Shape:
    """The size of a model; one that nobody knows is taken for GPT-2-Large, and says so."""
    unknown = HUB["openai-community/gpt2-large"]._replace(known="unknown: taken for GPT-2-Large")
    if model.kind == "huggingface":
        return HUB.get(model.id, unknown)
    if model.kind == "local":
        file = Path(model.path) / "config.json"
        if not file.is_file():
            return unknown
        values = json.loads(file.read_text(encoding="utf-8"))
        return _shape(values, values.get("vocab_size", 50257), "its config.json")
    return _shape(model.architecture, model.vocabulary, "its architecture")


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
            length = len(document.text.encode())
            lengths.setdefault(TASK_OF_SUBSET[document.pile_set_name], []).append(length)
            total += length
            if total >= SAMPLE_BYTES:
                break
    read = progress.share * file.stat().st_size
    return _Sample(progress.share, total / max(read, 1), lengths)


def _local_texts(config: Config, source: Any) -> Texts | None:
    """From the sizes of a folder's files, and the start of its test documents."""
    train = [source.input_file(shard) for shard in config.shards]
    held = source.input_file("test")
    if held is None or not all(train):
        return None
    sample = _sample(held)
    counts = {task: len(sizes) / sample.share for task, sizes in sample.lengths.items()}
    if not counts:
        return None
    means = {task: sum(sizes) / len(sizes) for task, sizes in sample.lengths.items()}
    mean = sum(counts[task] * means[task] for task in counts) / sum(counts.values())
    size = sample.expansion * sum(file.stat().st_size for file in train) / len(train)
    known = f"sizes of the files in {source.path}, documents as long as its first test documents"
    every = {task: counts.get(task, 0.0) for task in TASKS}
    lengths = {task: means.get(task, mean) for task in TASKS}
    return Texts(size / mean, size, _selected(config, every), lengths, known)


def _selected(config: Config, test: dict[str, float]) -> dict[str, float]:
    chosen = config.select
    return {
        task: min(chosen.count, count) if chosen.count else chosen.fraction * count
        for task, count in test.items()
    }


def texts(config: Config) -> Texts:
    """From the source's own settings, the sizes of local files, or else what the Pile is."""
    source = config.source
    with (PUBLISHED / "documents.csv").open(encoding="utf-8") as file:
        test = {row["task"]: float(row["test_documents"]) for row in csv.DictReader(file)}
    document_bytes = {task: 1024 * size for task, size in MEAN_KIB.items()}
    documents, size = PILE_DOCUMENTS, PILE_BYTES
    known = "the Pile: 7.0 million documents, 43 GB of text a shard (paper section 3)"
    if source.kind == "demo":
        documents, size = source.train_documents, source.train_documents * DEMO_BYTES
        test = dict.fromkeys(TASKS, source.test_documents / len(TASKS))
        document_bytes = dict.fromkeys(TASKS, float(DEMO_BYTES))
        known = "the demo's settings"
    elif source.kind == "local":
        if (found := _local_texts(config, source)) is not None:
            return found
        known = f"no files of text in {source.path} yet: taken for {known}"
    return Texts(documents, size, _selected(config, test), document_bytes, known)
