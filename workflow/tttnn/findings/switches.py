"""Where the paper's text and its released code differ, and which method here does the other."""

from __future__ import annotations

from typing import NamedTuple

from tttnn.findings.evidence import MAIN

CODE = "github.com/socialfoundations/tttlm at 99d4e0a"


class Switch(NamedTuple):
    """What the paper's code or text does otherwise, the keys that do so here, and which methods."""

    what: str
    keys: str
    method: str
    base: str = MAIN
    points: tuple[int, int] | None = None


SWITCHES = [
    Switch(
        "code: the optimiser's state leaks from document to document (eval_tttlm.py:82, 114-116)",
        "as_released: true",
        "released",
    ),
    Switch(
        "text: Adam, without the code's weight decay and clipping (eval_tttlm.py:82, 248)",
        "weight_decay: 0, clip_norm: null",
        "adam",
    ),
    Switch(
        "neither text nor code: training texts follow an end-of-text token, as the evaluated one "
        "does (eval_tttlm.py:229)",
        "prefix: true",
        "prefixed",
    ),
    Switch(
        "published losses: perhaps one step a neighbour, not one a window (eval_tttlm.py:242-252)",
        "step: neighbor",
        "per_neighbor",
    ),
    Switch(
        "code: the context keeps the farthest neighbours (lm_eval/base.py:215, 281)",
        "as_released: true",
        "in_context_released",
        "in_context",
    ),
    Switch(
        "code: the share mixed in is each task's best on test documents "
        "(process_results_interpolation.py:65)",
        "as_released: true",
        "interpolate_released",
        "interpolate",
    ),
    Switch(
        "code: dynamic evaluation is read after 6 iterations, not 7 "
        "(process_results_dynamic_eval.py:90)",
        "evaluate_at: [..., 6, 7, ...]",
        "dynamic",
        "dynamic",
        (6, 7),
    ),
]
