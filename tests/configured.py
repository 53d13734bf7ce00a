"""Configurations for tests: merged here, or with their jobs as `tttnn plan` gets them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import chdir
from functools import cache
from pathlib import Path

import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from tttnn.config.load import load
from tttnn.config.root import Config
from tttnn.operations.jobs import Job, ask

ROOT = Path(__file__).parents[1]


def read(
    configfiles: Sequence[Path], settings: Sequence[str], base: Path = ROOT / "config.yaml"
) -> Config:
    """`base`, overlays and single keys, merged by Snakemake's own functions."""
    values: dict = {}
    for path in [base, *configfiles]:
        update_config(values, yaml.safe_load(path.read_text(encoding="utf-8")))
    update_config(values, parse_config(settings))
    return load(values)


@cache
def asked(*overlays: str, settings: tuple[str, ...] = ()) -> tuple[Config, list[Job]]:
    """A shipped configuration and its jobs, in a folder without results."""
    with tempfile.TemporaryDirectory() as empty, chdir(empty):
        return ask([ROOT / f"config/{name}.yaml" for name in overlays], settings)
