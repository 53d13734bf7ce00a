"""How a run's embedders turn texts into vectors, before any is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tttnn.config.root import Config
from tttnn.models.kinds.huggingface import HubModel
from tttnn.models.kinds.local import LocalModel
from tttnn.models.model_files import ModelError
from tttnn.models.representation import PAPERS
from tttnn.models.sentence_transformers import MODULES, said_by
from tttnn.sections.model import Model

OF_PAPER = f"{PAPERS}, as in the paper"


def _cached(model: HubModel) -> Path | None:
    """The folder of the model's files in the hub's cache; None if it is not there yet."""
    from huggingface_hub import try_to_load_from_cache  # half a second, and rarely needed

    for name in (MODULES, "config.json"):
        found = try_to_load_from_cache(model.id, name, revision=model.revision)
        if isinstance(found, str):
            return Path(found).parent
    return None


def _told(model: Model) -> str:
    if not isinstance(model, HubModel | LocalModel):
        return OF_PAPER
    given = ", ".join(f"{name}: {value!r}" for name, value in model.given().items())
    folder = Path(model.path).expanduser() if isinstance(model, LocalModel) else _cached(model)
    if folder is None or not folder.is_dir():
        first = f"{given} as set, else " if given else ""
        return f"{first}as its {MODULES} says, if it has one, or as in the paper: not fetched yet"
    try:
        how = said_by(folder, model)
    except ModelError as error:
        return f"cannot be used: {error}"
    if how is None:
        return OF_PAPER
    by = f"its {MODULES}" if (folder / MODULES).is_file() else ""
    return f"{how}, by {' and '.join(part for part in (by, given) if part)}"


def representations(config: Config, embedders: Iterable[str]) -> Iterator[str]:
    """A line for each embedder: what becomes of its token vectors, and who says so."""
    for name in dict.fromkeys(embedders):
        yield f"Embedder {name}: a text's vector is {_told(config.models[name])}."
