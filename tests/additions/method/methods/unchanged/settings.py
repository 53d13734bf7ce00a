"""Settings of a control that does nothing."""

from __future__ import annotations

from typing import Literal

from tttnn.sections.method import Method


class Unchanged(Method):
    """Has neighbours and leaves the model as it is: what any gain must exceed."""

    kind: Literal["unchanged"]
