"""Settings of a model in a folder."""

from __future__ import annotations

from typing import Literal

from tttnn.sections.representing import Representing


class LocalModel(Representing):
    """A folder in Hugging Face format."""

    kind: Literal["local"]
    path: str  # of the folder; relative ones start where Snakemake runs
