"""Documents that a parquet file should have and has not, listed in the file itself.

A document that cannot be cut in two is left out of the halves, and so of what is evaluated on
them. Whoever counts documents finds in each file how many are missing on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import pyarrow as pa

KEY = b"tttnn.left_out"


def with_left_out(schema: pa.Schema, documents: Iterable[int]) -> pa.Schema:
    """The schema of a file from which these documents are left out; as it is if there are none."""
    names = list(documents)
    return schema.with_metadata({KEY: json.dumps(names)}) if names else schema


def left_out(schema: pa.Schema) -> list[int]:
    """The documents that a file of this schema leaves out, in the order of what it was made of."""
    return json.loads((schema.metadata or {}).get(KEY, b"[]"))
