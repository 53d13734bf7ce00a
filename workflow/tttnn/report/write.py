"""The stage that writes a run's report, one file that needs no other and no network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jinja2
from itables.utils import read_package_file
from markupsafe import Markup

from tttnn.files import replacing
from tttnn.findings.evidence import Evidence
from tttnn.reading import ReadingError
from tttnn.records.runs import SCORE, Results
from tttnn.report.captions import as_html, filled, parted
from tttnn.report.drawings import Drawing, drawing
from tttnn.report.grids import Grid, grid
from tttnn.report.headings import heading
from tttnn.report.landing import headlines, missing
from tttnn.report.ran import citations, ran
from tttnn.sections.base import Section

MAIN = "curves"
"""The figure that stands first, where the run has it."""


TABLES = ("differences", "scores", "clean", "comparisons", "quality_time", "costs", "duplicates")
"""Those that stand first."""


class ReportSpec(Section):
    """What a report says that is not in the run's files."""

    run: str
    figures: list[tuple[str, str]]  # names and captions, in the order of the page
    left_out: list[str]  # figures that the run has no data for
    models: list[str]  # those that were used
    source: str  # of the corpus


class Shown(NamedTuple):
    """A figure: its heading, what that rests on, and its caption in HTML."""

    name: str
    title: str
    numbers: list[str]
    caption: Markup
    drawing: Drawing


class Listed(NamedTuple):
    """A table: its caption in HTML, and how many rows it has."""

    name: str
    caption: Markup
    grid: Grid


def _check(files: list[Path]) -> None:
    """Raise `ReadingError` for what has not the header of a table."""
    for file in files:
        with file.open("rb") as opened:
            if b"," not in opened.readline():
                raise ReadingError(f"{file} is no table of a run: {SCORE}")


def _shown(
    spec: ReportSpec, run: Results, files: list[Path], texts: dict[str, Path]
) -> Iterator[Shown]:
    """The figures, that which stands first before the others."""
    evidence = Evidence(run) if len(run.table("documents")) else None
    known = dict(spec.figures)
    order = list(dict.fromkeys([MAIN, *known, *(file.stem for file in files)]))
    for file in sorted(files, key=lambda file: order.index(file.stem)):
        name = file.stem
        text = known.get(name)
        if text is None and name in texts:
            text = filled(texts[name], run.config)
        first, rest = parted(text or name)
        told = heading(name, run, evidence)
        claims = told is not None and bool(told.sentence)
        said = (text or "") if claims else rest
        title = told.sentence if told and claims else first
        yield Shown(
            name,
            title,
            told.numbers if told else [],
            Markup(as_html(said, name)),
            drawing(file, name, title),
        )


def _listed(run: Results, files: list[Path], texts: dict[str, Path]) -> list[Listed]:
    """The tables that are asked for most, then the others, then those without rows."""
    found = []
    for file in files:
        name, text = file.stem, ""
        if name in texts:
            text = as_html(filled(texts[name], run.config), name)
        found.append(Listed(name, Markup(text), grid(run.table(name))))
    order = {name: number for number, name in enumerate(TABLES)}
    return sorted(found, key=lambda one: (not one.grid.rows, order.get(one.name, len(order))))


def _data(tables: list[Listed]) -> Markup:
    """The tables' columns and rows as JSON that can stand in a page."""
    values = {
        table.name: {
            "columns": [column._asdict() for column in table.grid.columns],
            "rows": table.grid.rows,
        }
        for table in tables
    }
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _component() -> tuple[Markup, Markup]:
    """DataTables, as `itables` brings it: its module and its style, to stand in a page."""
    module = read_package_file("html/dt_bundle.js").replace("<!--", "<\\!--")
    if "</script" in module.lower():
        raise ValueError("itables' module would end a page's script: take the pinned version")
    return Markup(module), Markup(read_package_file("html/dt_bundle.css"))


def write_report(
    spec: ReportSpec,
    results: Path,
    figures: list[Path],
    tables: list[Path],
    captions: list[Path],
    page: list[Path],
    citation: list[Path],
    output: Path,
) -> None:
    """Write the report of the run in `results` from its tables and its figures.

    `captions` are reStructuredText, by the names of the tables; `page` are the page's template,
    its style and its script; `citation` is a `CITATION.cff` or nothing. What the run says of
    itself (`config.json`, `started.json`, `jobs.json`, manifests) is read as it is now.

    Raises `ValueError` for a caption that cannot be printed, and for a file that is not what it
    should be.
    """
    _check(tables)
    run = Results(results)
    texts = {file.stem: file for file in captions}
    parts = {file.suffix: file.read_text(encoding="utf-8") for file in page}
    shown = list(_shown(spec, run, figures, texts))
    listed = _listed(run, tables, texts)
    module, style = _component()
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    written = environment.from_string(parts[".html"]).render(
        run=spec.run,
        headlines=headlines(run),
        main=shown[0] if shown else None,
        others=shown[1:],
        facts=ran(run, spec.models, spec.source),
        missing=missing(run, {file.stem for file in tables}, spec.left_out),
        citations=[line for file in citation for line in citations(file)],
        tables=listed,
        data=_data(listed),
        component=module,
        style=style + Markup(parts[".css"]),
        script=Markup(parts[".js"]),
    )
    with replacing(output) as beside:
        beside.write_text(written, encoding="utf-8")
