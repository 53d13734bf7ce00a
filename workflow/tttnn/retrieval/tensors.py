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
