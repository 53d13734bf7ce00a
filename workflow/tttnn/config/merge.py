"""The configuration as Snakemake merges it: config.yaml, overlays, single keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tttnn.config.load import ConfigError, load
from tttnn.config.root import Config


def _lay_over(values: dict[str, Any], overlay: dict[str, Any]) -> None:
    """Mappings are merged, everything else is replaced."""
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = value


def read(configfiles: list[Path], settings: list[str], base: Path = Path("config.yaml")) -> Config:
    """`base`, then each of `configfiles`, then `settings` such as `run=mine`, checked.

    Raises `ConfigError` as `tttnn.config.load.load`, and for a setting that is not `key=value`.
    """
    values: dict[str, Any] = {}
    for path in [base, *configfiles]:
        _lay_over(values, yaml.safe_load(path.read_text(encoding="utf-8")))
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r}: give settings as key=value")
        _lay_over(values, {key: yaml.safe_load(value)})
    return load(values)
