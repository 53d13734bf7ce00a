"""What is evaluated."""

from __future__ import annotations

from typing import Literal

from tttnn.sections.base import Names, Section
from tttnn.sections.method import Parts


class Ablations(Section):
    """More methods, on those of these models and tasks that are evaluated at all."""

    methods: list[str]  # of `methods`, or of `sets` of them
    models: Names  # of the catalogue
    tasks: Names | Literal["all"] = "all"  # or a list: [pile_github, pile_arxiv]
    parts: Parts = {"default": 1}  # jobs that share a task's documents; changes no result


class Evaluate(Section):
    """Which models, methods and tasks are evaluated, and in how many jobs a task."""

    models: Names  # of the catalogue
    methods: Names  # of `methods`, or of `sets` of them; the first is the main one
    tasks: Names | Literal["all"] = "all"  # or a list: [pile_github, pile_arxiv]
    ablations: Ablations | None = None
    parts: Parts = {"default": 1}  # jobs that share a task's documents; changes no result
