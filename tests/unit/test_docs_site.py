"""The site is built without a warning, and nothing in it leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from browser import chromium
from documented import ROOT, pages

LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
"""Of Markdown; those in a fence are none."""
FENCED = re.compile(r"^```.*?^```", re.M | re.S)


class Page(HTMLParser):
    """Where a page's links lead, and where one can link to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, as `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    options = ("--nitpicky", "--fail-on-warning", "--keep-going", "--quiet")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", "docs", *options]
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), ".", str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "html"


@pytest.fixture(scope="module")
def built(site) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_make_docs_builds_with_the_same_options():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-b html -c docs --nitpicky --fail-on-warning --keep-going --quiet" in makefile


def test_no_link_leads_nowhere(site, built):
    """Files and anchors; what is on the network Sphinx's `linkcheck` asks, where there is one."""
    dead = []
    for path, page in built.items():
        for target in page.targets:
            if urlsplit(target).scheme:
                continue
            file, anchor = urldefrag(target)
            found = (path.parent / unquote(urlsplit(file).path)).resolve() if file else path
            is_there = found.is_relative_to(site) and found.is_file()
            if is_there and anchor and found in built:
                is_there = unquote(anchor) in built[found].anchors
            if not is_there:
                dead.append((path.name, target))
    assert not dead


def test_nothing_in_it_is_fetched_from_elsewhere(built):
    """It is read without a network: what a page loads lies in it."""
    for page in built.values():
        loaded = [t for t in page.targets if urlsplit(t).scheme and t.endswith((".js", ".css"))]
        assert not loaded


def test_the_first_page_leads_to_the_landing_page_with_its_sections(site, built):
    assert "docs/README.html" in built[site / "index.html"].targets
    landing = built[site / "docs/README.html"]
    assert {"tutorial", "how-to", "reference", "explanation"} <= landing.anchors
    assert any(target.endswith("demo-curves.svg") for target in landing.targets)


def test_every_page_of_docs_is_in_it(site):
    sources = [*(ROOT / "docs").rglob("*.md"), ROOT / "docs/notebook.ipynb"]
    for source in sources:
        if "_build" not in source.parts:
            assert (site / source.relative_to(ROOT)).with_suffix(".html").is_file(), source


def test_what_import_gives_is_all_on_its_page(built, site):
    import tttnn

    anchors = built[site / "docs/api.html"].anchors
    assert {f"tttnn.{name}" for name in tttnn.__all__} <= anchors


def slug(heading: str) -> str:
    """A heading's anchor, as forges make it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_work_on_a_forge_too(page):
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if urlsplit(target).scheme:
            continue
        file, anchor = urldefrag(target)
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        if anchor and found.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), target


def test_the_readme_is_a_screen_to_the_first_result_and_has_a_figure():
    """Of 30 lines of some 120 characters: the command, what it does, and a figure of it."""
    first = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    assert "make demo    # needs a network" in first
    assert any(line.startswith("![") and "docs/img/" in line for line in first)


def test_icons_stand_apart_in_a_narrow_window(site):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is a tool of envs/dev.in")
    if chromium() is None:
        pytest.skip("no browser")
    with api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=options)
        tab = browser.new_page(viewport={"width": 400, "height": 700})
        tab.goto((site / "docs/README.html").as_uri())
        boxes = [
            tab.locator(f".mobile-header {part}").bounding_box()
            for part in (".nav-overlay-icon", ".brand", ".theme-toggle", ".toc-overlay-icon")
        ]
        browser.close()
    for left, right in pairwise(boxes):
        assert left["x"] + left["width"] + 5 <= right["x"]
    assert boxes[-1]["x"] + boxes[-1]["width"] <= 400
