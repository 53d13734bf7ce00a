"""The Pile: its files, and its 22 subsets with their tasks and weights.

Weights are per cent of the training mixture (Gao et al. 2020, arXiv 2101.00027, Table 1; the
paper's `pile_all` uses them); task names are those of the lm-evaluation-harness.
"""

from __future__ import annotations

from typing import NamedTuple

SPLITS = ("val", "test")
"""The held-out shards, never indexed."""

SUFFIXES = (".jsonl.zst", ".jsonl", ".parquet")
"""The formats a shard may come in."""


class Subset(NamedTuple):
    """A subset: `pile_set_name` in a record's meta, weight in per cent."""

    pile_set_name: str
    weight: float


TASKS: dict[str, Subset] = {
    "pile_arxiv": Subset("ArXiv", 8.96),
    "pile_bookcorpus2": Subset("BookCorpus2", 0.75),
    "pile_books3": Subset("Books3", 12.07),
    "pile_dm-mathematics": Subset("DM Mathematics", 1.24),
    "pile_enron": Subset("Enron Emails", 0.14),
    "pile_europarl": Subset("EuroParl", 0.73),
    "pile_freelaw": Subset("FreeLaw", 6.12),
    "pile_github": Subset("Github", 7.59),
    "pile_gutenberg": Subset("Gutenberg (PG-19)", 2.17),
    "pile_hackernews": Subset("HackerNews", 0.62),
    "pile_nih-exporter": Subset("NIH ExPorter", 0.30),
    "pile_opensubtitles": Subset("OpenSubtitles", 1.55),
    "pile_openwebtext2": Subset("OpenWebText2", 10.01),
    "pile_philpapers": Subset("PhilPapers", 0.38),
    "pile_pile-cc": Subset("Pile-CC", 18.11),
    "pile_pubmed-abstracts": Subset("PubMed Abstracts", 3.07),
    "pile_pubmed-central": Subset("PubMed Central", 14.40),
    "pile_stackexchange": Subset("StackExchange", 5.13),
    "pile_ubuntu-irc": Subset("Ubuntu IRC", 0.88),
    "pile_uspto": Subset("USPTO Backgrounds", 3.65),
    "pile_wikipedia": Subset("Wikipedia (en)", 1.53),
    "pile_youtubesubtitles": Subset("YoutubeSubtitles", 0.60),
}

TASK_OF_SUBSET: dict[str, str] = {subset.pile_set_name: task for task, subset in TASKS.items()}

ALL = "pile_all"
"""The weighted mean over the tasks, reported beside them."""
