"""Do a model's weights fit its config.json? Neither transformers' defaults nor chance fill gaps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from tttnn.models.model_files import ModelError, check_kind
from tttnn.reading import one_line

# What older checkpoints store although it is computed: tables of positions, and the scalar that
# GPT-2's kind of attention puts in the place of a masked score.
COMPUTED = re.compile(
    r"(^|\.)(inv_freq|original_inv_freq|position_ids|token_type_ids|masked_bias|version)$"
)
# Counts of modules, each of which has tensors of its own (experts may share one).
COUNTS = re.compile(r"(layers?|blocks|experts|num_labels)$")
MODULES = 1000
PLAIN = ("F64", "F32", "F16", "BF16")
TABLES = 2**30  # bytes of tables that a model computes for itself, at least allowed

ADVICE = "it was made for another use, or its config.json is not its own"

Shapes = dict[str, tuple[int, ...]]


def read_shapes(folder: Path, weights: list[str]) -> Shapes:
    """The shape of each tensor in a model's weights, from the headers of its safetensors files.

    Raises `ModelError` where a file is damaged, or where a weight is stored in a type that only
    means something together with scales elsewhere: whole numbers, or 8 bits.
    """
    shapes: Shapes = {}
    for name in weights:
        if not name.endswith(".safetensors"):
            continue
        try:
            with safe_open(folder / name, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 (it is no mapping)
                    stored = file.get_slice(key)
                    shapes[key] = tuple(stored.get_shape())
                    if key.endswith(".weight") and stored.get_dtype() not in PLAIN:
                        raise ModelError(
                            f"{folder / name} stores {key} as {stored.get_dtype()}, quantised: "
                            "take the checkpoint that was quantised"
                        )
        except ModelError:
            raise
        except (SafetensorError, OSError, ValueError) as error:
            check_kind(folder / name)
            raise ModelError(
                f"{folder / name} is damaged or cut short: {one_line(error)}. Fetch or copy it "
                "again"
            ) from error
    return shapes


def check_counts(config: PreTrainedConfig, shapes: Shapes, folder: Path) -> None:
    """Refuse a config.json that asks for more modules than there are tensors to fill them.

    They would be refused as missing tensors, but only after all of them were built.
    """
    for key, value in config.get_text_config().to_dict().items():
        most = max(MODULES, len(shapes))
        if COUNTS.search(key) and isinstance(value, int) and value > most:
            raise ModelError(
                f"{folder / 'config.json'} says {key}: {value}, but the weights beside it have "
                f"{len(shapes)} tensors in all: take the config.json that belongs to them"
            )


def _deepest(model: nn.Module, path: list[str]) -> nn.Module:
    """The last module of `model` that exists on the way that a tensor's name describes."""
    for name in path:
        children = dict(model.named_children())
        if name not in children:
            break
        model = children[name]
    return model


def _is_needed(key: str, model: PreTrainedModel, shapes: Shapes) -> bool:
    """Would the tensor `key`, which `model` has no place for, have changed what it computes?

    Not what is computed anew, such as masks, and not what hangs at the top: heads, poolers.
    """
    shape = shapes.get(key, ())
    is_mask = len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]
    prefix = f"{model.base_model_prefix}."
    base = model.base_model
    buffers = {name for name, _ in model.named_buffers()} | {n for n, _ in base.named_buffers()}
    inside = key.removeprefix(prefix)
    if is_mask or COMPUTED.search(key) or {key, inside} & buffers:
        return False
    is_of_base = key.startswith(prefix)
    found = _deepest(base, inside.split(".")[:-1])
    if found is base and not is_of_base:
        found = _deepest(model, key.split(".")[:-1])
        return found is not model and found is not base
    return found is not base or not inside.startswith("pooler.")


def check_filled(report: Mapping[str, Any], model: PreTrainedModel, folder: Path) -> None:
    """Refuse weights that lack a tensor of `model`, or have one of another shape.

    `report` is what transformers says when it has loaded them; it takes random values there.
    """
    kind = type(model).__name__
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"the weights in {folder} lack {len(missing)} of the tensors that a {kind} has, such "
            f"as {missing[0]}: {ADVICE}"
        )
    if mismatched := sorted(report["mismatched_keys"]):
        name, stored, expected = mismatched[0]
        raise ModelError(
            f"the weights in {folder} have {len(mismatched)} tensors of another shape than its "
            f"config.json asks for, such as {name}, {tuple(stored)} in place of "
            f"{tuple(expected)}: {ADVICE}"
        )
    if errors := report["error_msgs"]:
        raise ModelError(f"the model in {folder} cannot be read: {' '.join(errors[0].split())}")


def check_tables(model: PreTrainedModel, folder: Path) -> None:
    """Refuse a config.json whose tables, which no file holds, would take all memory.

    `model` is on the meta device: it has shapes alone.
    """
    held = sum(tensor.numel() for tensor in model.parameters())
    tables = 4 * sum(tensor.numel() for tensor in model.buffers())
    if tables > max(TABLES, 16 * held):
        raise ModelError(
            f"{folder / 'config.json'} asks for tables of {tables / 2**30:.0f} GB beside weights "
            f"of {4 * held / 2**30:.3f} GB: correct its number of positions"
        )


def check_surplus(
    report: Mapping[str, Any], model: PreTrainedModel, shapes: Shapes, folder: Path
) -> None:
    """Refuse weights of which `model` leaves something out that they were trained with."""
    surplus = sorted(key for key in report["unexpected_keys"] if _is_needed(key, model, shapes))
    if surplus:
        raise ModelError(
            f"the weights in {folder} have {len(surplus)} tensors that a {type(model).__name__} "
            f"with this config.json leaves out, such as {surplus[0]}: {ADVICE}"
        )
