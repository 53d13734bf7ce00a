"""Small arrays in safetensors files, with a digest of all of them in the file's metadata."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tttnn.digests import AGAIN, DamagedError, place
from tttnn.files import replacing

ROWS_AT_ONCE = 4096


def _digest(tensors: dict[str, np.ndarray], said: str, path: Path) -> str:
    digest = hashlib.sha256(place(path) + said.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


def save_tensors(path: Path, tensors: dict[str, np.ndarray], said: dict[str, Any]) -> None:
    """Write arrays, and what there is to say of them, JSON."""
    told = json.dumps(said, allow_nan=False)
    with replacing(path) as beside:
        save_file(tensors, beside, {"said": told, "sha256": _digest(tensors, told, path)})


class Tensors:
    """Arrays of a file, of which some rows are read at a time; `DamagedError` if they are others.

    All are compared with the digest when it is opened, `ROWS_AT_ONCE` rows in memory.
    """

    def __init__(self, path: Path, remedy: str = AGAIN) -> None:
        self._path = path
        try:
            self._file = safe_open(path, framework="numpy")
            metadata = self._file.metadata() or {}
            names = sorted(self._file.keys())
            told, expected = metadata.get("said", ""), metadata.get("sha256")
            digest = hashlib.sha256(place(path) + told.encode())
            for name in names:
                shape, kind = self.shape(name), self.rows(name, slice(0, 1)).dtype.str
                digest.update(f"\n{name} {kind} {shape}\n".encode())
                for first in range(0, shape[0], ROWS_AT_ONCE):
                    rows = self.rows(name, slice(first, first + ROWS_AT_ONCE))
                    digest.update(np.ascontiguousarray(rows).data)
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(f"{path} cannot be read ({error}): {remedy}") from None
        if digest.hexdigest() != expected:
            raise DamagedError(
                f"{path} has arrays of SHA-256 {digest.hexdigest()}, and expects {expected} (it is "
                f"damaged, or of another place): {remedy}"
            )
        self.said: dict[str, Any] = json.loads(told)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array."""
        return tuple(self._file.get_slice(name).get_shape())

    def rows(self, name: str, rows: slice) -> np.ndarray:
        """Some rows of an array."""
        count = self.shape(name)[0]
        start, stop, _ = rows.indices(count)
        if stop <= start:  # safetensors has no empty slices
            return (self._file.get_slice(name)[:1] if count else self._file.get_tensor(name))[:0]
        return self._file.get_slice(name)[start:stop]


def load_tensors(path: Path, remedy: str = AGAIN) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and what was said of them; `DamagedError` if they are others."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{path} cannot be read ({error}): {remedy}") from None
    said, expected = metadata.get("said", ""), metadata.get("sha256")
    got = _digest(tensors, said, path)
    if got != expected:
        raise DamagedError(
            f"{path} has arrays of SHA-256 {got}, and expects {expected} (it is damaged, or of "
            f"another place): {remedy}"
        )
    return tensors, json.loads(said)
