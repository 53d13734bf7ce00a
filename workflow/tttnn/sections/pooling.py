"""How an embedder's token vectors become one."""

from __future__ import annotations

from typing import Literal

Pooling = Literal["mean", "cls", "max", "last"]
