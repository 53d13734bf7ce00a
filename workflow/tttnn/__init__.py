"""Test-time training on nearest neighbours: the stages of the workflow as plain functions.

Nothing in this package imports Snakemake: a rule, a notebook and a test call the same functions.
`import tttnn` gives what a notebook needs, the names of `tttnn.library`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
# in no fingerprint, as all of this file: no stage may come to depend on it
__all__ = (
    "Query",
    "Recipe",
    "adapt",
    "adapted",
    "bits_per_byte",
    "hull",
    "load_model",
    "log_likelihood",
    "read_tables",
    "recipe_for",
    "search",
    "sift",
)


def __getattr__(name: str) -> Any:
    """A name of `tttnn.library`, which takes seconds to load: stages do without."""
    if name in __all__:
        return getattr(import_module("tttnn.library"), name)
    raise AttributeError(f"module 'tttnn' has no name {name!r}: it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return ["__version__", *__all__]
