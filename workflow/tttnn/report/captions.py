"""Captions: reStructuredText with Jinja's variables, as Snakemake's report has them, as HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from docutils.core import publish_parts
from docutils.utils import SystemMessage

WARNING = 2  # of docutils: what it would print nonetheless
LONG = 90  # characters of a heading
SETTINGS = {
    "halt_level": WARNING,
    "report_level": WARNING,
    "warning_stream": False,  # what is wrong is raised
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "syntax_highlight": "none",
}
PART = re.compile(r"^.{12,}?(?=[:;,]| \()")
SENTENCE = re.compile(r"^(.+?[.?!])(?=\s+[A-Z*]|\s*$)", re.S)


class CaptionError(ValueError):
    """A caption cannot be printed; the message names it."""


def as_html(text: str, name: str) -> str:
    """The paragraphs of a text in reStructuredText; raises `CaptionError` where it is none."""
    try:
        return publish_parts(text, writer="html5", settings_overrides=SETTINGS)["body"]
    except SystemMessage as error:
        raise CaptionError(f"caption {name}: {error}: correct it") from None


def filled(file: Path, values: Mapping[str, Any]) -> str:
    """A caption's text with `snakemake.config` as in these values.

    Raises `CaptionError` for a variable that they do not have.
    """
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    try:
        template = environment.from_string(file.read_text(encoding="utf-8"))
        return template.render(snakemake={"config": values})
    except jinja2.TemplateError as error:
        raise CaptionError(f"{file}: {error}: correct the caption") from None


def parted(text: str) -> tuple[str, str]:
    """A caption's heading, and what is left to say below it.

    The heading is the first sentence; of one that is long, its first part, and then all is left.
    """
    text = " ".join(text.split())
    found = SENTENCE.match(text)
    first = found[1] if found else text
    if len(first) > LONG and (part := PART.match(first)):
        return part[0], text
    return first, text[len(first) :].strip()
