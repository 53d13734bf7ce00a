"""The page of every claim: what was measured in each run, and what follows."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Literal

from tttnn.findings.claim import BITS, Claim
from tttnn.findings.claims import CLAIMS
from tttnn.findings.evidence import MAIN, Evidence, Measured
from tttnn.findings.quantities import against
from tttnn.findings.switches import CODE, SWITCHES, Switch
from tttnn.pile import ALL, TASKS
from tttnn.provenance import canonical

Verdict = Literal["holds", "does not hold", "undecided", "no interval", "not measured"]


def digest(claims: dict[str, list[Claim]], switches: list[Switch]) -> str:
    """Of what claims and switches measure and hold it against, not of their words.

    It stands in the page, so that one made from other claims is noticed.
    """
    measures = [
        [claim.measure, claim.side, claim.threshold] for some in claims.values() for claim in some
    ]
    measured = [
        *([_named(measure), side, threshold] for measure, side, threshold in measures),
        *([switch.method, switch.base, switch.points] for switch in switches),
    ]
    return hashlib.sha256(canonical(measured).encode()).hexdigest()[:12]


def _named(measure: Any) -> list[Any]:
    """A function, or a partial one: its name and what is filled in."""
    function = getattr(measure, "func", measure)
    return [function.__name__, getattr(measure, "keywords", {})]


def verdict(measured: Measured, side: str, threshold: float) -> Verdict:
    """By where the interval lies; one that touches the threshold contains it."""
    if math.isnan(measured.value):
        return "not measured"
    if math.isnan(measured.low):
        return "no interval"
    if measured.low > threshold or measured.high < threshold:
        return "holds" if (measured.low > threshold) == (side == "above") else "does not hold"
    return "undecided"


def markdown(head: list[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """A Markdown table whose columns are aligned, also where nobody renders it."""
    cells = [head, *([str(cell).replace("|", r"\|") for cell in row] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    for row in cells:
        words = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        yield f"| {' | '.join(words)} |"
    yield ""


def bounds(low: float, high: float, unit: str) -> str:
    return "none" if math.isnan(low) else f"[{unit.format(low)}, {unit.format(high)}]"


def _number(value: float, unit: str) -> str:
    return "-" if math.isnan(value) else unit.format(value)


def span(counts: Iterable[int]) -> str:
    low, high = min(counts := list(counts)), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _trained(model: dict[str, Any]) -> str:
    if model["kind"] != "train":
        return f"{model.get('id') or model.get('path')}; training text not on record"
    some = "all" if model["subsets"] is None else ", ".join(model["subsets"])
    without = f" without {', '.join(model['exclude'])}" if model["exclude"] else ""
    kind = model["architecture"]["model_type"]
    return f"{kind}, trained for {model['steps']} steps on {some} subsets{without}"


def _what_was_run(runs: list[Evidence]) -> Iterator[str]:
    rows, models, absent = [], [], []
    for run in runs:
        tasks = run.tables["tasks"]
        there = tasks[tasks["status"] == "evaluated"]
        rows.append(
            [
                run.name,
                len(there),
                span(there["selected"]),
                there["selected"].sum(),
                f"{run.confidence:.0%}",
                run.config["score"]["resamples"],
            ]
        )
        models += [[run.name, m, _trained(run.config["models"][m])] for m in run.models]
        for status, group in tasks[tasks["status"] != "evaluated"].groupby("status", sort=False):
            absent.append(f"- `{run.name}`, {status}: {', '.join(group['task'])}.")
    yield "## What was run"
    yield ""
    head = ["run", "tasks", "documents a task", "documents", "intervals", "resamples"]
    yield from markdown(head, rows)
    yield from markdown(["run", "model", "what it is"], models)
    for run in runs:
        if run.main != MAIN:
            yield f"`{run.name}` has no `{MAIN}`; its first method, `{run.main}`, stands for it."
            yield ""
    if absent:
        yield f"`{ALL}` has the Pile's weights, renormalised over the tasks that were evaluated:"
        yield ""
        yield from absent
        yield ""


def _overview(verdicts: list[Verdict]) -> str:
    """Over the models of a run; where verdicts differ, how many there are of each."""
    counts = Counter(verdicts)
    if len(counts) <= 1:
        return next(iter(counts), "not measured")
    return ", ".join(f"{verdict} ({count})" for verdict, count in counts.items())


def _claims(runs: list[Evidence]) -> Iterator[str]:
    number, rows, details = 0, [], []
    for heading, claims in CLAIMS.items():
        details += [f"### {heading}", ""]
        for claim in claims:
            number += 1
            found = [(run.name, claim.measure(run)) for run in runs]
            judged = [[verdict(m, claim.side, claim.threshold) for m in ms] for _, ms in found]
            rows.append([number, claim.sentence, *map(_overview, judged)])
            details += _detail(number, claim, found, judged)
    yield "## Claims"
    yield ""
    yield "Where models, or the methods of one claim, differ, brackets have the number of each."
    yield ""
    yield from markdown(["no.", "claim", *(run.name for run in runs)], rows)
    yield "## What was measured"
    yield ""
    yield from details


def _detail(
    number: int,
    claim: Claim,
    found: list[tuple[str, list[Measured]]],
    judged: list[list[Verdict]],
) -> Iterator[str]:
    bound = claim.unit.format(claim.threshold) if claim.threshold else "0"
    yield f"**{number}. {claim.sentence}** Source: {claim.source}."
    yield f"Measured: {claim.quantity}. It holds {claim.side} {bound}."
    yield ""
    rows = [
        [
            run,
            m.label,
            _number(m.value, claim.unit),
            bounds(m.low, m.high, claim.unit),
            f"{m.tasks} of {len(TASKS)}",
            m.documents,
            word,
        ]
        for (run, measured), words in zip(found, judged, strict=True)
        for m, word in zip(measured, words, strict=True)
    ]
    if rows:
        head = ["run", "model", "value", "interval", "tasks", "documents", "verdict"]
        yield from markdown(head, rows)
    else:
        yield "Not measured: no run has these methods at the numbers of neighbours that it needs."
        yield ""


def _as_released(runs: list[Evidence]) -> Iterator[str]:
    yield "## As released"
    yield ""
    yield f"Where the paper's text and its released code ({CODE}) differ, or leave something open:"
    yield "the switch, and bits per byte with it minus without it."
    yield ""
    rows = []
    for number, switch in enumerate(SWITCHES, 1):
        measure = partial(against, method=switch.method, base=switch.base, points=switch.points)
        found = [
            [run.name, m.label, BITS.format(m.value), bounds(m.low, m.high, BITS), m.tasks]
            for run in runs
            for m in measure(run)
        ]
        rows += [[number, *row] for row in found] or [
            [number, *["-"] * 2, "not measured", "-", "-"]
        ]
    legend = [
        [number, f"`{switch.keys}`", f"`{switch.method}` against `{switch.base}`", switch.what]
        for number, switch in enumerate(SWITCHES, 1)
    ]
    yield from markdown(["no.", "key", "methods", "what"], legend)
    yield from markdown(["no.", "run", "model", "change", "interval", "tasks"], rows)


def _by_task(runs: list[Evidence]) -> Iterator[str]:
    yield "## Gain by task"
    yield ""
    yield f"Bits per byte before and after all neighbours, `{MAIN}`, and the paired ratio."
    yield ""
    rows = []
    for run in runs:
        table = run.tables["differences"].query("method == @run.main and documents_kind == 'raw'")
        last = table[table["num_neighbors"] == table["num_neighbors"].max()]
        for model in run.models:
            for row in last[last["model"] == model].itertuples():
                ratio = f"{row.ratio:.3f}"
                interval = bounds(row.ratio_low, row.ratio_high, "{:.3f}")
                ends = f"{row.before:.4f}", f"{row.after:.4f}"
                rows.append([run.name, model, row.task, row.documents, *ends, ratio, interval])
    head = ["run", "model", "task", "documents", "before", "after", "ratio", "interval"]
    yield from markdown(head, rows)


def _near_copies(runs: list[Evidence]) -> Iterator[str]:
    yield "## Near-copies by task"
    yield ""
    yield "The share of a task's gained bits that is due to documents with a near-copy among their"
    yield f"neighbours, `{MAIN}` after all neighbours; no share where nothing was gained."
    yield ""
    rows = []
    for run in runs:
        table = run.tables["duplicates"].query("method == @run.main")
        for row in table.sort_values("model", key=lambda c: c.map(run.models.index)).itertuples():
            share = _number(row.share, "{:.1%}")
            interval = bounds(row.low, row.high, "{:.1%}")
            rows.append([run.name, row.model, row.task, row.documents, row.copied, share, interval])
    head = ["run", "model", "task", "documents", "with a near-copy", "share of gain", "interval"]
    yield from markdown(head, rows)


def _costs(runs: list[Evidence]) -> Iterator[str]:
    yield "## Costs"
    yield ""
    yield "Seconds (adaptation and one evaluation) and tokens of training at a method's largest"
    yield "number of neighbours: means over documents, then over the tasks that all methods of a"
    yield "model were evaluated on; bits per byte of these tasks by the Pile's weights. Seconds are"
    yield "those of the machines that the runs ran on."
    yield ""
    rows = []
    for run in runs:
        table = run.tables["efficiency"]
        for model, costs in table.groupby("model", sort=False):
            methods = [m for m in costs["method"].unique() if run.tasks(model, m)]
            tasks = run.tasks(model, *methods)
            last = costs.groupby("method")["num_neighbors"].transform("max")
            shared = costs[(costs["num_neighbors"] == last) & costs["task"].isin(tasks)]
            for method, cell in shared.groupby("method", sort=False):
                point, seconds = cell["num_neighbors"].iloc[0], cell["seconds"].mean()
                tokens, bits = cell["train_tokens"].mean(), run.mean(model, method, point, tasks)[0]
                means = [f"{seconds:.3f}", f"{tokens:.0f}", f"{bits:.4f}"]
                rows.append([run.name, model, method, point, len(cell), *means])
    head = ["run", "model", "method", "neighbours", "tasks", "seconds", "tokens", "bits per byte"]
    yield from markdown(head, rows)
    yield "### Recall of the indexes"
    yield ""
    rows = [
        [run.name, r.index, r.factory, r.k, f"{r.recall:.3f}", r.queries, r.ntotal]
        for run in runs
        for r in run.tables["recall"].itertuples(index=False)
    ]
    yield from markdown(["run", "index", "factory", "at", "recall", "queries", "passages"], rows)


def _alphas(runs: list[Evidence]) -> Iterator[str]:
    yield "### Shares mixed in"
    yield ""
    rows = []
    for run in runs:
        table = run.tables["alphas"]
        chosen = table[table["chosen"].astype(bool) & (table["task"] != ALL)]
        for (model, method), cell in chosen.groupby(["model", "method"], sort=False):
            by_task = cell.groupby("task", sort=False)["alpha"].first()
            if by_task.nunique() == 1:
                rows.append([run.name, model, method, f"{by_task.iloc[0]:g}"])
            else:
                words = ", ".join(f"{task} {alpha:g}" for task, alpha in by_task.items())
                rows.append([run.name, model, method, words])
    yield from markdown(["run", "model", "method", "alpha"], rows)


def lines(runs: list[Evidence], command: str) -> Iterator[str]:
    """The page of every claim; `command` makes it."""
    few = span(
        documents
        for run in runs
        for documents in run.tables["tasks"].query("status == 'evaluated'")["selected"]
    )
    yield from (
        "# Every claim, and what was measured",
        "",
        "Made from recorded runs by the command below; no number or verdict is written by hand.",
        f"Digest of what was measured: `{digest(CLAIMS, SWITCHES)}`.",
        "",
        "```bash",
        command,
        "```",
        "",
        "A claim **holds** if the interval of the measured quantity lies wholly on the claimed",
        "side of its threshold, **does not hold** if wholly on the other, and is **undecided** if",
        "the interval contains the threshold. There is **no interval** where no task has a second",
        "document; a claim is **not measured** where the run lacks its methods, or where a share",
        "would be of something that is not above 0. Intervals are percentiles of a paired",
        "bootstrap over documents, each task resampled within itself. With few documents a task,",
        f"here {few}, they are too narrow rather than too wide (Hesterberg 2015, *The American",
        "Statistician* 69:371), and the verdicts are not corrected for their number.",
        "",
        *_what_was_run(runs),
        *_claims(runs),
        *_as_released(runs),
        *_by_task(runs),
        *_near_copies(runs),
        *_costs(runs),
        *_alphas(runs),
    )
