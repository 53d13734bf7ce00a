"""What ran: models, corpus, versions, commit, machine, time; and how to cite it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import tttnn
from tttnn.environment import DISTRIBUTIONS, FIELDS
from tttnn.models.model_files import POSITIONS
from tttnn.reading import read_json, reading
from tttnn.records.runs import Run
from tttnn.report.cost import HOUR, cost, duration, moment

SHORT = 12  # of a digest or a commit
NAMED = 3
NOT_RECORDED = "not recorded"
LAST_RUNS = (
    "times are of each job's last run: what an earlier one took, as of the documents that were "
    "there before, is not in them"
)
"""For Snakemake writes a job's benchmark file anew each time that it runs."""


class Fact(NamedTuple):
    """A thing that one asks of a run, and the answer, a line each."""

    term: str
    lines: list[str]


def size(count: float) -> str:
    """Bytes as one reads them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _model(name: str, settings: Mapping[str, Any], folder: Path) -> str:
    """What a model is and the digest of its weights, as far as that is known."""
    kind = settings["kind"]
    if kind == "train":
        is_of = str(settings.get("architecture", {}).get("model_type", ""))
        what = f"{is_of}, trained here for {settings.get('steps')} steps"
    elif "id" in settings:
        what = f"{settings['id']} at revision {settings.get('revision')}"
    else:
        what = f"{kind} {Path(str(settings.get('path', ''))).name}".strip()
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return f"{name}: {what}"
    told = read_json(manifest)
    if count := told.get("parameters"):
        what += f", {count:,} parameters"
    digests = [sha for file, sha in told["files"].items() if file.endswith(".safetensors")]
    if digests:
        more = f" and {len(digests) - 1} more files" if len(digests) > 1 else ""
        what += f", weights SHA-256 {digests[0][:SHORT]}…{more}"
    return f"{name}: {what}"


def _positions(folder: Path) -> int | None:
    """A model's context length in tokens, where its config.json says it."""
    file = folder / "config.json"
    told = read_json(file) if file.is_file() else {}
    told = told.get("text_config") or told
    return next((told[name] for name in POSITIONS if told.get(name)), None)


def _windows(run: Run, model: str) -> str:
    """How many tokens a model was given at once, by method; a result depends on it."""
    table = run.table("scores")
    own = _positions(run.folder / "models" / model)
    by_window: dict[int | None, list[str]] = {}
    for method in table.loc[table["model"] == model, "method"].unique():
        window = run.config["methods"].get(method, {}).get("window") or own
        by_window.setdefault(window, []).append(method)
    if not by_window:  # an embedder
        return ""
    (first, _), *others = by_window.items()
    said = f", evaluated in windows of {_tokens(first)}"
    return said + "".join(f" (of {_tokens(window)}: {', '.join(m)})" for window, m in others)


def _tokens(window: int | None) -> str:
    return "tokens, how many is not recorded" if window is None else f"{window:,} tokens"


def _corpus(run: Run, source: str) -> Iterator[str]:
    train = [shard for name, shard in run.corpus.items() if name not in ("val", "test")]
    text = sum(shard.text_bytes or 0 for shard in train)
    told = f", {size(text)} of text" if text else ""
    documents = sum(shard.documents for shard in train)
    yield f"Source {source}: {len(train)} shards, {documents:,} documents{told}"
    if run.has("indexes"):
        for row in run.table("indexes").itertuples():
            yield f"index {row.index}: {row.ntotal:,} passages, {row.factory}"


def _versions(run: Run) -> Iterator[str]:
    """Each once, in one line; a field of more than one value has all."""
    made = run.made_with
    words = []
    for field in FIELDS:
        values = [value for value in dict.fromkeys(one[field] for one in made) if value]
        if field in ("python", *DISTRIBUTIONS) and values:
            words.append(f"{field} {' and '.join(values)}")
    yield f"tttnn {tttnn.__version__}, {', '.join(words)}"


def _commits(results: Path) -> Iterator[str]:
    """As noted when the run was started, see `tttnn.operations.started`."""
    file = results / "started.json"
    commits = read_json(file).get("commits", []) if file.is_file() else []
    for commit in commits:
        name, _, changed = commit.partition(", ")
        yield f"{name[:SHORT]}, {'with uncommitted changes' if changed else 'nothing changed'}"
    if not commits:
        yield NOT_RECORDED


def _machine(run: Run) -> Iterator[str]:
    pairs = dict.fromkeys((one["device"], one["precision"]) for one in run.made_with)
    lines = [f"{device}, {precision}" for device, precision in pairs]
    yield from lines[:NAMED]
    if len(lines) > NAMED:
        yield f"and {len(lines) - NAMED} more, see the table environment"
    if not lines:
        yield NOT_RECORDED
    elif not any(device.startswith("cuda") for device, _ in pairs):
        yield "no GPU was used"


def _time(run: Run) -> Iterator[Fact]:
    spent = cost(run.folder, run.config)
    if spent is None:
        yield Fact("Wall time", [NOT_RECORDED])
        return
    yield Fact(
        "Wall time",
        [
            f"{duration(spent.busy)} with jobs at work, from {moment(spent.began)} to "
            f"{moment(spent.ended)}"
        ],
    )
    hours = [f"{spent.cpu / HOUR:.3g} processor hours in {spent.jobs} jobs"]
    hours += [f"{spent.gpu / HOUR:.3g} GPU hours", LAST_RUNS]
    yield Fact("Work", hours)


def ran(run: Run, models: list[str], source: str) -> list[Fact]:
    """What is known of how a run was made; `models` are those that were used."""
    folder, settings = run.folder / "models", run.config["models"]
    return [
        Fact(
            "Models",
            [_model(name, settings[name], folder / name) + _windows(run, name) for name in models],
        ),
        Fact("Corpus", list(_corpus(run, source))),
        Fact("Versions", list(_versions(run))),
        Fact("Commit", list(_commits(run.folder))),
        Fact("Computed on", list(_machine(run))),
        *_time(run),
        Fact("Energy", ["not measured"]),
    ]


def _people(authors: list[Mapping[str, str]]) -> str:
    names = [
        " ".join(filter(None, (one.get("given-names"), one.get("family-names")))) or one["name"]
        for one in authors
    ]
    return " and ".join(names)


def citations(file: Path) -> list[str]:
    """The references of a `CITATION.cff`: the software, and what it prefers to be cited as."""
    with reading(file, "restore it from the repository"):
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = [f"{_people(told['authors'])}: {told['title']}. Version {told['version']}."]
    if paper := told.get("preferred-citation"):
        where = paper.get("conference", {}).get("name") or paper.get("journal", "")
        found.insert(
            0,
            f"{_people(paper['authors'])}: {paper['title']}. {where}, {paper['year']}. "
            f"{paper.get('url', '')}".strip(),
        )
    return found
