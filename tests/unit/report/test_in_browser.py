"""The report in a real browser, from a file, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlparse

import pandas as pd
import pytest

from browser import NAMES, chromium

api = pytest.importorskip("playwright.sync_api", reason="playwright is a tool of envs/dev.in")
WIDTHS = (1280, 400)
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.href)"
ORDER = "(table) => [...table.querySelectorAll('tbody tr')].map(r => r.cells[{}].textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator:
    program = chromium()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is here, nor does TTTNN_CHROMIUM say")
    with api.sync_playwright() as playwright:
        # as root, and in containers with a small /dev/shm
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        running = playwright.chromium.launch(executable_path=program, args=options)
        yield running
        running.close()


@pytest.fixture(scope="module", params=WIDTHS)
def opened(browser, page, run, request) -> Iterator[SimpleNamespace]:
    """The report in a window of this width, with what it said and asked for since."""
    context = browser.new_context(viewport={"width": request.param, "height": 800}, offline=True)
    context.set_default_timeout(30_000)
    tab, faults, asked = context.new_page(), [], []
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    (run / "report.html").write_text(page, encoding="utf-8")
    tab.goto((run / "report.html").as_uri())
    tab.wait_for_selector("html[data-ready]")
    yield SimpleNamespace(tab=tab, faults=faults, asked=asked, width=request.param)
    context.close()


def width(tab) -> tuple[int, int]:
    return tuple(tab.evaluate("[document.scrollingElement.scrollWidth, window.innerWidth]"))


def table_of(tab, name: str):
    return tab.locator(f"#table-{name}"), tab.locator(f"#table-{name} table")


def show_all(tab, name: str) -> None:
    tab.locator(f"#table-{name} .dt-length select").select_option("-1")


def test_it_opens_without_a_network_and_without_complaint(opened):
    tab = opened.tab
    assert opened.faults == []
    assert {urlparse(url).scheme for url in opened.asked} <= {"file", "blob"}
    assert [url for url in opened.asked if url.startswith("file")] == [tab.url]
    drawn = tab.locator(".drawing svg")
    assert drawn.count() == 3
    assert all(drawn.nth(k).bounding_box()["height"] > 50 for k in range(3))
    # a table is empty in this run, or it has rows
    for place in tab.locator("section.table").all():
        assert place.locator("tbody tr").count() or place.locator(".empty").count() == 1


def test_it_never_scrolls_sideways(opened):
    tab = opened.tab
    for name in ("scores", "comparisons", "quality_time"):
        show_all(tab, name)
    wide, window = width(tab)
    assert wide <= window
    # what is wider than the window scrolls in its own box
    (box,) = tab.locator("#table-quality_time .dt-layout-table").all()
    inner, outer = box.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert inner > outer <= opened.width
    assert box.evaluate("(box) => getComputedStyle(box).overflowX") == "auto"
    assert opened.faults == []


def test_every_link_leads_somewhere(opened):
    tab = opened.tab
    links = tab.evaluate(LINKS)
    assert len(links) > 20
    for link in links:
        place, _, name = link.partition("#")
        assert Path(unquote(urlparse(place).path)).is_file(), link
        if name:
            assert tab.evaluate("(name) => document.getElementById(name) !== null", name), link


def test_the_contents_lead_to_a_table(opened):
    tab = opened.tab
    contents = tab.locator("#contents")
    assert (contents.get_attribute("open") is not None) == (opened.width > 1000)
    if opened.width < 1000:
        contents.locator("summary").click()
    contents.locator("a", has_text="comparisons").click()
    tab.wait_for_function(
        "() => { const top = document.getElementById('table-comparisons')"
        ".getBoundingClientRect().top; return top > -2 && top < innerHeight; }"
    )
    if opened.width < 1000:
        assert contents.get_attribute("open") is None


def plain(text: str) -> float | None:
    return None if text == "\u2013" else float(text.replace("\u2212", "-").replace(",", ""))


@pytest.mark.parametrize("opened", WIDTHS[:1], indirect=True)
@pytest.mark.parametrize("column", ["value", "low", "task"])
def test_a_click_sorts_as_pandas_does(opened, run, column):
    expected = pd.read_csv(run / "tables/scores.csv").drop(columns="run")
    if column != "task":  # the page has seven digits
        expected[column] = [float(f"{value:.7g}") for value in expected[column]]
        assert expected["low"].isna().any()
    number = list(expected.columns).index(column)
    place, table = table_of(opened.tab, "scores")
    show_all(opened.tab, "scores")
    for ascending in (True, False):
        place.locator("thead th").nth(number).click()
        rows = expected.sort_values(column, ascending=ascending, kind="stable")
        shown = table.evaluate(ORDER.format(number))
        if column == "task":
            assert shown == rows[column].tolist()
        else:
            numbers = [float("nan") if (n := plain(text)) is None else n for text in shown]
            assert numbers == pytest.approx(rows[column].tolist(), rel=2e-3, nan_ok=True)
        # rows stay whole, and equal ones in the order of the file
        assert table.evaluate(ORDER.format(2)) == rows["task"].tolist()
    assert opened.faults == []


def test_lists_and_the_search_filter(opened, run):
    table = pd.read_csv(run / "tables/scores.csv")
    place, shown = table_of(opened.tab, "scores")
    show_all(opened.tab, "scores")
    assert place.locator("tbody tr").count() == len(table)
    place.locator(".choices select").nth(1).select_option("in_context")
    some = table[table["method"] == "in_context"]
    assert place.locator("tbody tr").count() == len(some) < len(table)
    place.locator("input[type=search]").fill("byte_perplexity")
    opened.tab.wait_for_function(
        "(count) => document.querySelectorAll('#table-scores tbody tr').length === count",
        arg=int((some["metric"] == "byte_perplexity").sum()),
    )
    place.locator("input[type=search]").fill("")
    place.locator(".choices select").nth(1).select_option("")
    opened.tab.wait_for_function(
        "(count) => document.querySelectorAll('#table-scores tbody tr').length === count",
        arg=len(table),
    )
    assert sorted(shown.evaluate(ORDER.format(2))) == sorted(table["task"])
    assert opened.faults == []


def test_names_of_any_length_fit_a_narrow_window(browser, page, tmp_path):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    tab = browser.new_page(viewport={"width": 400, "height": 800})
    tab.goto((tmp_path / "report.html").as_uri())
    tab.wait_for_selector("html[data-ready]")
    tab.evaluate(
        "document.querySelectorAll('.model, .numbers li, dd, h1, h2, h3')"
        ".forEach((one) => { one.textContent = 'a'.repeat(100); })"
    )
    assert width(tab) == (400, 400)
    tab.close()


def test_what_is_cut_off_says_so_until_its_end_is_seen(opened):
    tab = opened.tab
    frame = tab.locator("#figure-before_after .frame")
    box, more = frame.locator(".scroll"), frame.locator(".more")
    assert more.is_visible() == (opened.width < 1000)
    if opened.width < 1000:
        box.evaluate("(box) => box.scrollTo({ left: box.scrollWidth, behavior: 'instant' })")
        more.wait_for(state="hidden")
    # a wide table is cut at any width, a narrow one at none
    wide = tab.locator("#table-quality_time")
    wide.scroll_into_view_if_needed()
    assert wide.locator(".more").is_visible()
    assert tab.locator("#table-recall .more").is_visible() == (opened.width < 1000)
    assert opened.faults == []


@pytest.mark.parametrize("opened", WIDTHS[:1], indirect=True)
def test_the_difference_is_seen_without_moving_a_table(opened):
    for name in ("differences", "comparisons"):
        place = opened.tab.locator(f"#table-{name}")
        head = place.locator("thead th", has_text="difference").first.bounding_box()
        box = place.locator(".dt-layout-table").bounding_box()
        assert head["x"] + head["width"] <= box["x"] + box["width"]


def test_counts_are_written_alike_in_captions_and_cells(browser, write, run):
    path = run / "tables/corpus.csv"
    before = path.read_bytes()
    table = pd.read_csv(path)
    rows = pd.concat([table.head(1)] * 1374).assign(documents=range(1000, 2374))
    rows.to_csv(path, index=False)
    try:
        (run / "long.html").write_text(write(), encoding="utf-8")
    finally:
        path.write_bytes(before)
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.goto((run / "long.html").as_uri())
    tab.wait_for_selector("html[data-ready]")
    place = tab.locator("#table-corpus")
    assert "1,374 rows: tables/corpus.csv" in place.locator(".file").inner_text()
    assert "1 to 10 of 1,374 rows" in place.locator(".dt-info").inner_text()
    assert "1,000" in place.locator("tbody tr").first.inner_text()
    tab.close()
