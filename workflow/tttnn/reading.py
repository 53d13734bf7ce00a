"""Files that others may have damaged or put another in the place of, as one line that names them.

What a library raises over a file's content is the file's fault and not the program's: within
`reading` it becomes a `ValueError` with the file and the remedy. Only the library's call belongs
within, so that faults of our own keep their traceback.
"""

from __future__ import annotations

import csv
import json
import struct
import sys
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

AGAIN = "remove it and run again"
RAISED = (ValueError, EOFError, RuntimeError, KeyError, struct.error, zlib.error)
"""What numpy, faiss, torch and Python's own modules raise over content; JSON's and UTF-8's too."""

LIBRARIES = {
    "pyarrow": "ArrowException",
    "safetensors": "SafetensorError",
    "zstandard": "ZstdError",
}
"""Libraries with an error of their own; one that is not loaded cannot have raised it."""


class ReadingError(ValueError):
    """A file is not what it should be; the message names it and the remedy."""


def _raised() -> tuple[type[BaseException], ...]:
    loaded = ((sys.modules.get(module), name) for module, name in LIBRARIES.items())
    return (*RAISED, *(getattr(module, name) for module, name in loaded if module is not None))


def one_line(error: BaseException) -> str:
    """What a library says, in one line that is not endless."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]} …"


def _is_of_content(error: BaseException) -> bool:
    """Whether an `OSError` is of what is in the file: pyarrow's have no number."""
    return isinstance(error, OSError) and error.errno is None


@contextmanager
def reading(path: Path, remedy: str = AGAIN, *, anything: bool = False) -> Iterator[None]:
    """What libraries raise within, over the content of `path`, becomes `ReadingError`.

    With `anything`, bare `Exception` too, as the tokenizers raise it.
    """
    try:
        yield
    except ReadingError:
        raise
    except Exception as error:
        if anything or isinstance(error, _raised()) or _is_of_content(error):
            raise ReadingError(f"{path} cannot be read ({one_line(error)}): {remedy}") from error
        raise


def read_json(path: Path, remedy: str = AGAIN) -> dict[str, Any]:
    """The object in a JSON file; raises `ReadingError` for anything else."""
    with reading(path, remedy):
        value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise ReadingError(f"{path} holds no JSON object: {remedy}")
    return value


def read_csv(
    path: Path, columns: Collection[str] = (), remedy: str = AGAIN, **options: Any
) -> pd.DataFrame:
    """A table that pandas reads, with at least these columns; `options` are for `pandas.read_csv`.

    Raises `ReadingError` for a file that ends within a line or that has a line of another length.
    """
    import pandas as pd

    with reading(path, remedy):
        text = path.read_bytes().decode("utf-8")
    if not text.endswith("\n") or "\0" in text:
        raise ReadingError(f"{path} is no table in CSV, or was cut short: {remedy}")
    with reading(path, remedy):
        try:
            header, *rows = csv.reader(text.splitlines())
        except csv.Error as error:
            raise ValueError(error) from error
    if missing := [name for name in columns if name not in header]:
        raise ReadingError(f"{path} has no column {missing[0]!r}: {remedy}")
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            raise ReadingError(
                f"{path}, line {number}: {len(row)} values for {len(header)} columns: {remedy}"
            )
    with reading(path, remedy):
        return pd.read_csv(path, **options)


def read_parquet(path: Path, columns: list[str] | None = None, remedy: str = AGAIN) -> pd.DataFrame:
    """A table that pandas reads from parquet; raises `ReadingError` where it cannot."""
    import pandas as pd

    with reading(path, remedy):
        return pd.read_parquet(path, columns=columns)
