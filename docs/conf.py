"""The site: `make docs` builds it into docs/_build/html, to be opened without a server.

Sphinx reads the whole repository (`sphinx-build -c docs .`), of which `include_patterns` are the
pages. So a page lies where it is read on a forge, and its relative links mean the same on both.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

project = "tttnn"
author = "The tttnn authors"
copyright = author
version = release = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]  # type: ignore[index]
language = "en_GB"

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/README"
include_patterns = [
    "docs/**.md",
    "docs/notebook.ipynb",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "config/README.md",
    "slurm/**README.md",
    "tests/additions/README.md",
    "tests/fidelity/README.md",
    "workflow/profiles/**README.md",
    "workflow/tttnn/published/README.md",
]
# folders that may be large and have no pages; Sphinx would look through them
exclude_patterns = [
    *("docs/_build", "docs/records", "results", "figures", "data", "logs", "build"),
    *(".git", ".venv", ".snakemake", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
    "tests/unit",
]
source_suffix = {".md": "markdown", ".ipynb": "notebook"}

nitpicky = True
# Types in signatures: other libraries cannot be asked without a network, and modules have no pages
nitpick_ignore_regex = [(r"py:.*", r".*")]
suppress_warnings = ["misc.highlighting_failure"]  # a command with … in it is no shell
show_warning_types = True

myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]

smartquotes = False  # --option is no dash
default_role = "literal"  # docstrings have `names` in single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
add_module_names = False

html_theme = "furo"
html_title = "Test-time training on nearest neighbours"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("troubleshooting.js", {"defer": "defer"})]
html_extra_path = ["_extra"]  # index.html, which leads to the landing page
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

# `sphinx-build -b linkcheck -c docs . docs/_build/links`, where there is a network
linkcheck_anchors = False
linkcheck_timeout = 20

SECTION = re.compile(r"^## (.+)$", re.M)
PAGE = re.compile(r"\]\(([^)#:]+\.(?:md|ipynb))\)")


class Notebook(MystParser):
    """Reads a notebook as the page that its cells and their outputs make."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Markdown as it stands, code and printed text in fences."""
        page = []
        for cell in json.loads(inputstring)["cells"]:
            text = "".join(cell["source"])
            page.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
            page.extend(map(_shown, cell.get("outputs", [])))
        super().parse("\n\n".join(page), document)


def _shown(output: dict[str, Any]) -> str:
    """An output of a cell, as Markdown: its picture, or its text."""
    data = output.get("data", {})
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f"![What the cell above draws](data:image/png;base64,{picture})"
    return f"```text\n{''.join(output.get('text') or data['text/plain']).rstrip()}\n```"


def contents(text: str) -> str:
    """The trees of pages of the landing page: a section's are those that it links, in its order."""
    parts = SECTION.split(text)
    trees = []
    for title, part in zip(parts[1::2], parts[2::2], strict=True):
        pages = [f"/{_from_docs(page)}" for page in dict.fromkeys(PAGE.findall(part))]
        trees.append("\n".join([f"```{{toctree}}\n:hidden:\n:caption: {title}\n", *pages, "```"]))
    return "\n\n".join(trees)


def _from_docs(page: str) -> str:
    """A page's path in the repository, without its suffix, as the landing page links it."""
    path = PurePosixPath("docs")
    for part in PurePosixPath(page).with_suffix("").parts:
        path = path.parent if part == ".." else path / part
    return str(path)


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the landing page's links the site's navigation, so that no page is listed twice."""
    if docname == root_doc:
        source[0] += "\n\n" + contents(source[0])


class Links(SphinxTransform):
    """What a forge shows otherwise: a folder is only its name here, and a page has its title.

    In the source a page is called by its file's name, which says where it is.
    """

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        """Links in the page's source are relative to it."""
        here = Path(self.env.doc2path(self.env.docname)).parent
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link["reftype"] == "myst" and (here / link["reftarget"]).is_dir():
                link.replace_self(link.children)
            elif link["refdomain"] == "doc" and link.astext().endswith((".md", ".ipynb")):
                link["refexplicit"] = False
                link.clear()
                link += nodes.inline("", "", classes=["xref", "myst"])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_source_parser(Notebook)
    app.add_transform(Links)
    app.connect("source-read", add_contents)
