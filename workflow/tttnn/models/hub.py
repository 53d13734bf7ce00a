"""Files of models on the hub, from its cache below HF_HOME or fetched to it."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path

from huggingface_hub import errors as hub
from huggingface_hub import snapshot_download

from tttnn.models.model_files import (
    CONFIG_FILES,
    TOKENIZER_FILES,
    WEIGHTS,
    WEIGHTS_INDEX,
    ModelError,
)

WEIGHT_PATTERNS = (WEIGHTS, WEIGHTS_INDEX, "model-*-of-*.safetensors")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def snapshot(repository: str, revision: str, patterns: tuple[str, ...]) -> Path:
    """The folder of a hub repository's files; its name is the commit. Raises `ModelError`."""
    name = f"{repository} at revision {revision}"
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
    except hub.GatedRepoError as error:
        raise ModelError(
            f"{name} is gated: accept its terms on https://huggingface.co/{repository} and log in "
            "with `hf auth login` (or set HF_TOKEN)"
        ) from error
    except hub.RevisionNotFoundError as error:
        raise ModelError(f"{repository} has no revision {revision}: check the revision") from error
    except hub.RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no repository {repository}, or it is private: check its name, or log in "
            "with `hf auth login` (or set HF_TOKEN)"
        ) from error
    except hub.LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name} is not in the local cache, and the hub is out of reach (or HF_HUB_OFFLINE is "
            f"set). On a machine with network, run `hf download {repository} --revision "
            f"{revision}` with the same HF_HOME; or copy the files there and name their folder"
        ) from error


def named(model: str, revision: str | None = None) -> Path:
    """The folder of a model that a command names: a folder's path, or a repository of the hub.

    The latter only where there is no such folder, which is said on stderr, with a folder beside
    that has nearly that name. HF_HOME, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are respected.
    Raises `ModelError` with a remedy where there is neither, and for a `revision` of a folder.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ModelError(
                f"--revision {revision} is of a model on the hub, and {model} is a folder: leave "
                "one of them out"
            )
        return folder
    beside = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    known = [path.name for path in beside if (path / "config.json").is_file()]
    close = difflib.get_close_matches(folder.name, known, n=1)
    near = f" Did you mean the folder {folder.with_name(close[0])}?" if close else ""
    if not REPOSITORY.fullmatch(model) or folder.exists():
        raise ModelError(f"there is no folder {model}, and no model on the hub is named so.{near}")
    if revision is None:
        revision = "main"
    print(
        f"there is no folder {model}: taking the model {model} of the hub at revision {revision}."
        f"{near}",
        file=sys.stderr,
    )
    return snapshot(model, revision, (*CONFIG_FILES, *TOKENIZER_FILES, *WEIGHT_PATTERNS))
