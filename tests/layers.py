"""Where the number of tests in each folder of tests/ is kept while they run."""

from collections import Counter

import pytest

LAYERS = pytest.StashKey[Counter[str]]()
