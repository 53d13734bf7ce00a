"""A control: the model as it is, measured once for every number of neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from tttnn.methods.unchanged.settings import Unchanged

from tttnn.methods.clock import clock
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows, size
from tttnn.methods.measure import Adapted, Measurement, Query
from tttnn.models.tokens import tokens


def adapt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    queries: Iterable[Query],
    recipe: Unchanged,
    window: int,
) -> Iterator[Adapted]:
    """Measure each query for each k of `recipe.evaluate_at`, which changes nothing."""
    for query in queries:
        ids = tokens(tokenizer, query.text)
        started = clock(model.device)
        total = log_likelihood(model, rolling_windows(ids, prefix_token(tokenizer), window))
        seconds = clock(model.device) - started
        yield Adapted(
            query,
            size(query.text, ids),
            [Measurement(k, total, math.nan, 0, 0, 0.0, seconds) for k in recipe.evaluate_at],
        )
