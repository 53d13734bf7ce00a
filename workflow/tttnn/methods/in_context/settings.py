"""Settings of in-context learning."""

from __future__ import annotations

from typing import Literal

from tttnn.sections.method import Method


class InContext(Method):
    """Neighbours in front of the document, in the model's window (paper section 5)."""

    kind: Literal["in_context"]
    as_released: bool = False  # true: as the released code joins neighbours and document
