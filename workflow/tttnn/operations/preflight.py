"""What can be known before the first job: can the models be fetched that must be?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tttnn.models.kinds.huggingface import HubModel
from tttnn.models.kinds.local import LocalModel
from tttnn.models.model_files import ModelError, check_folder
from tttnn.sections.model import Model


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _in_cache(model: HubModel) -> bool:
    from huggingface_hub import try_to_load_from_cache  # half a second, and rarely needed

    return isinstance(try_to_load_from_cache(model.id, "config.json", revision=model.revision), str)


def missing_models(models: Mapping[str, Model], names: Iterable[str]) -> list[str]:
    """A line with the remedy for each of these models that `fetch_model` could not fetch.

    A folder must hold a model, as far as its files tell without loading it; a hub model must be in
    the cache if HF_HUB_OFFLINE is set. Otherwise the hub is asked when the model is fetched, which
    is before the jobs that need it.
    """
    faults = []
    for name in sorted(names):
        model = models[name]
        if isinstance(model, LocalModel):
            try:
                check_folder(Path(model.path).expanduser())
            except ModelError as error:
                faults.append(f"models.{name}.path: {error}")
        elif isinstance(model, HubModel) and _is_offline() and not _in_cache(model):
            faults.append(
                f"models.{name}: HF_HUB_OFFLINE is set, and {model.id} is not in the cache below "
                f"HF_HOME: run `hf download {model.id} --revision {model.revision}` where there is "
                "network, or unset HF_HUB_OFFLINE"
            )
    return faults
