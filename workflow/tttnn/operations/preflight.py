"""What can be known before the first job: can models be fetched, is the corpus still the same?"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from tttnn.models.kinds.huggingface import HubModel
from tttnn.models.kinds.local import LocalModel
from tttnn.models.model_files import ModelError, check_folder
from tttnn.sections.kinds import SOURCES, load
from tttnn.sections.model import Model
from tttnn.sections.source import Source

ASKED_AT_ONCE = 16
LONGEST = 5.0  # seconds that asking for changes may hold a start up


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


def missing_image(image: str) -> str | None:
    """The fault and its remedy where a container's image is to be a file, and is none."""
    if "://" in image or Path(image).exists():  # a sandbox is a folder
        return None
    definition = Path(image).with_suffix(".def")
    remedy = f"build it, `apptainer build {image} {definition}`, or name yours"
    return (
        f"there is no image {image} for --sdm apptainer: "
        f"{remedy if definition.exists() else 'correct it'} in the configuration's key `image`"
    )


def changed_shards(
    source: Source, shards: Iterable[str], corpus: Path, to_make: Container[str]
) -> list[str]:
    """A line with the remedy for each shard that has changed at its source since it was fetched.

    Of those with a manifest in the folder `corpus`, but not one that is in `to_make`. Only some
    kinds of source can tell (`changed`, see `tttnn.sections.source`); what has not answered after
    `LONGEST` seconds counts as unchanged.
    """
    ask = getattr(load(SOURCES, source.kind), "changed", None)
    if ask is None:
        return []
    pool = ThreadPoolExecutor(ASKED_AT_ONCE)
    asked = {}
    for shard in shards:
        path = corpus / f"{shard}.json"
        if path.is_file() and str(path) not in to_make:
            try:
                manifest = json.loads(path.read_bytes())
            except ValueError:
                continue  # whoever needs it will say so
            asked[shard] = pool.submit(ask, source, shard, manifest)
    done, _ = wait(asked.values(), LONGEST)
    pool.shutdown(wait=False, cancel_futures=True)
    return [
        f"Shard {shard} is no longer what its source has: {change}. To fetch it again, and make "
        f"again what was made of it, add --forcerun {corpus / shard}.jsonl.zst to the command."
        for shard, answer in asked.items()
        if answer in done and (change := answer.result())
    ]
