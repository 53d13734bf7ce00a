"""What sentence-transformers' files say of a model: its pooling, scaling and prompt.

Models made with that library were trained with a pooling of their own, mostly scaled to length 1,
and some with a prompt before each text; `modules.json` and what that names say so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tttnn.files import name_within
from tttnn.models.model_files import ModelError, read_object
from tttnn.models.representation import Representation
from tttnn.reading import reading
from tttnn.sections.pooling import Pooling
from tttnn.sections.representing import Representing

MODULES = "modules.json"
PROMPTS, TRANSFORMER = "config_sentence_transformers.json", "sentence_bert_config.json"
FILES = (MODULES, PROMPTS, TRANSFORMER, "*_Pooling/config.json")
"""What sentence-transformers writes beside a model, as far as it is read here; patterns."""

MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
PREFIX = "pooling_mode_"
KNOWN = ("Transformer", "Pooling", "Normalize")
"""Modules that are applied, in this order; the last may be missing."""
REMEDY = (
    "set pooling and normalize in the model's entry to use its token vectors without that, or "
    "take another model"
)


def _modules(folder: Path) -> list[tuple[str, str]]:
    """The last part of each module's type, and its path, in order; none without the file."""
    path = folder / MODULES
    if not path.is_file():
        return []
    with reading(path, "fetch or copy it again"):
        listed = json.loads(path.read_bytes())
    try:
        if not isinstance(listed, list) or not listed:
            raise TypeError("no list, or an empty one")
        return [(str(one["type"]).rpartition(".")[2], str(one["path"])) for one in listed]
    except (TypeError, KeyError) as error:
        raise ModelError(
            f"{path} is no list of sentence-transformers' modules ({error!r}): fetch or copy it "
            "again"
        ) from error


def _pooling(folder: Path, name: str) -> tuple[Pooling, bool]:
    """The mode in a pooling module's folder, and whether a prompt's tokens are pooled, too."""
    path = name_within(folder, name, folder / MODULES) / "config.json"
    said = read_object(path)
    modes = [key for key, value in said.items() if key.startswith(PREFIX) and value is True]
    if isinstance(said.get("pooling_mode"), str):  # of later versions
        modes = [mode for mode in MODES if MODES[mode] == said["pooling_mode"]]
    if len(modes) != 1 or modes[0] not in MODES:
        told = " and ".join(modes) or said.get("pooling_mode") or "none"
        raise ModelError(
            f"{path} pools by {told}, and this workflow by one of {', '.join(MODES.values())}: "
            f"{REMEDY}"
        )
    return MODES[modes[0]], said.get("include_prompt", True) is not False


def _prompt(folder: Path) -> str:
    """The prompt that sentence-transformers puts before a text where none is named."""
    path = folder / PROMPTS
    said = read_object(path) if path.is_file() else {}
    name, prompts = said.get("default_prompt_name"), said.get("prompts") or {}
    if name is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(prompts.get(name), str):
        raise ModelError(
            f"{path} names the prompt {name!r}, which is none of its prompts: set prompt in the "
            "model's entry, or false"
        )
    return str(prompts[name])


def said_by(folder: Path, wanted: Representing) -> Representation | None:
    """How texts become vectors by a model's files and `wanted`, whose nulls these fill in.

    None where neither says anything: then it is as in the paper. Raises `ModelError` for what the
    files ask for and is not done here, unless `wanted` says what to do in its place.
    """
    modules = _modules(folder)
    given = wanted.given()
    if not modules and not given:
        return None
    found: dict[str, Any] = {}
    pooled_with_prompt = True
    if modules and not {"pooling", "normalize"} <= given.keys():
        kinds = [kind for kind, _ in modules]
        if kinds not in ([*KNOWN], [*KNOWN[:2]]):
            strange = [kind for kind in kinds if kind not in KNOWN]
            what = f"a module {strange[0]}" if strange else f"modules {', '.join(kinds)}"
            raise ModelError(
                f"{folder / MODULES} has {what}, which this workflow does not apply: {REMEDY}"
            )
        mode, pooled_with_prompt = _pooling(folder, modules[1][1])
        found = {"pooling": mode, "normalize": "Normalize" in kinds}
    if modules and "prompt" not in given:
        found["prompt"] = _prompt(folder)
    whole = Representation(**found | given)
    if whole.prompt and not pooled_with_prompt:
        raise ModelError(
            f"{folder} leaves the prompt's tokens out of its pooling (include_prompt: false), "
            "which is not done here: set prompt: false, or pooling and normalize, in its entry"
        )
    return whole
