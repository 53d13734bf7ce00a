"""Fetch a published model, or copy one from a local folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, RootModel

from tttnn.files import replacing
from tttnn.models.folder import write_manifest
from tttnn.models.hub import WEIGHT_PATTERNS, snapshot
from tttnn.models.kinds.huggingface import HubModel
from tttnn.models.kinds.local import LocalModel
from tttnn.models.model_files import (
    ADAPTER_FILES,
    CONFIG_FILES,
    TOKENIZER_FILES,
    VOCABULARIES,
    ModelError,
    check_config,
    check_folder,
    check_no_adapter,
    weight_files,
)
from tttnn.models.sentence_transformers import FILES, said_by


class FetchSpec(RootModel[Annotated[HubModel | LocalModel, Field(discriminator="kind")]]):
    """A model that is not trained here."""


def _copy(source: Path, target: Path, names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        if (source / name).is_file():
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _beside(folder: Path) -> list[str]:
    """Names of the files that say how an embedder's vectors are made, if there are any."""
    found = [path for pattern in FILES for path in sorted(folder.glob(pattern)) if path.is_file()]
    return [path.relative_to(folder).as_posix() for path in found]


def _represented(model: HubModel | LocalModel, folder: Path, causal: bool) -> dict[str, Any]:
    """What the manifest says of how texts become vectors: nothing, where it is as in the paper."""
    if causal and model.given():
        raise ModelError(
            f"{', '.join(model.given())} is of embedders, and this model is evaluated: leave it "
            "out, or give the embedder an entry of its own"
        )
    how = None if causal else said_by(folder, model)
    return {} if how is None else {"representation": how.model_dump()}


def _fetch_from_hub(model: HubModel, target: Path) -> dict[str, Any]:
    patterns = CONFIG_FILES + WEIGHT_PATTERNS
    # before gigabytes arrive: can the weights be used?
    described = snapshot(model.id, model.revision, (*CONFIG_FILES, ADAPTER_FILES[0]))
    check_no_adapter(described)
    check_config(described)
    if model.tokenizer is None:
        source = snapshot(model.id, model.revision, patterns + TOKENIZER_FILES + FILES)
        tokenizer, tokenizer_source = model.id, source
    else:
        tokenizer, _, revision = model.tokenizer.rpartition("@")
        if not tokenizer:
            raise ModelError(f"tokenizer {model.tokenizer!r} of {model.id}: write id@revision")
        source = snapshot(model.id, model.revision, patterns + FILES)
        tokenizer_source = snapshot(tokenizer, revision, TOKENIZER_FILES)
    if not any(source.glob("*.safetensors")):
        raise ModelError(
            f"{model.id} has no safetensors at revision {model.revision}, and this workflow reads "
            "no pickle. Look for a revision that has them, such as the hub's own conversion "
            "(`refs/pr/N` among the repository's pull requests), or convert the weights where you "
            "trust them and use `kind: local`"
        )
    if not any((tokenizer_source / name).is_file() for name in VOCABULARIES):
        raise ModelError(
            f"{tokenizer} has no tokenizer ({', '.join(VOCABULARIES)}) at revision "
            f"{tokenizer_source.name}: name one that fits with `tokenizer: id@revision`"
        )
    _copy(source, target, [*CONFIG_FILES, *weight_files(source), *_beside(source)])
    _copy(tokenizer_source, target, TOKENIZER_FILES)
    return {
        "kind": model.kind,
        "id": model.id,
        "revision": source.name,
        "tokenizer": f"{tokenizer}@{tokenizer_source.name}",
    }


def fetch_model(spec: FetchSpec, output: Path, causal: bool = False) -> None:
    """Copy a published model, or one from a local folder, to the folder `output`.

    A hub model comes from the cache below HF_HOME, and is downloaded to it if need be; HF_HOME,
    HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are respected. Only configuration, tokenizer and
    safetensors are taken. Raises `ModelError` with a remedy where that is not enough for a model,
    where what arrived is neither a causal language model nor an encoder, and, with CAUSAL, where it
    is not the former.
    """
    model = spec.root
    with replacing(output, directory=True) as beside:
        if isinstance(model, LocalModel):
            folder = Path(model.path).expanduser()
            source = str(folder)
            weights = check_folder(folder)
            _copy(folder, beside, [*CONFIG_FILES, *TOKENIZER_FILES, *weights, *_beside(folder)])
            origin = {"kind": model.kind, "path": model.path}
        else:
            source = f"{model.id} at revision {model.revision}"
            origin = _fetch_from_hub(model, beside)
        try:
            origin |= _represented(model, beside, causal)
            write_manifest(beside, origin, causal=causal, also=_beside(beside))
        except ModelError as error:  # the folder it names will be gone
            raise ModelError(str(error).replace(str(beside), source)) from error
