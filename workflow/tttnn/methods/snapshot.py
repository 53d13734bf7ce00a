"""A document that a job is at, saved beside the journal after a number of neighbours.

A journal holds finished documents; a book takes hours. At a measured number of neighbours all that
its evaluation goes on from is saved: the tensors that training changed and what was measured. It
is worth it where a killed job would lose much more than the writing takes, and it is given up,
with a line that says so, where there is no room. One document has one snapshot, which is replaced
by the next and removed when the document is in the journal.
"""

from __future__ import annotations

import inspect
import math
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from safetensors import SafetensorError

from tttnn.digests import DamagedError
from tttnn.methods.measure import Measurement
from tttnn.resume import Stop
from tttnn.retrieval.tensors import load_tensors, save_tensors
from tttnn.sections.method import Method

LEAST_SECONDS = 60.0  # since a document was begun or last saved, before it is saved
WORTH = 10  # times as long as the writing takes
WRITTEN = 200e6  # bytes a second, until a first one was written: as from a shared file system
SPARE = 100e6  # bytes of the disk that are left to others


class State(NamedTuple):
    """What a document was measured at so far, and the tensors it is trained on from, by name."""

    measurements: list[Measurement]
    tensors: dict[str, torch.Tensor]  # on the CPU; none before the first step


def _as_told(measurement: Measurement) -> dict[str, Any]:
    loss = measurement.train_loss
    return asdict(measurement) | {"train_loss": None if math.isnan(loss) else loss}


def _measurement(told: dict[str, Any]) -> Measurement:
    loss = told["train_loss"]
    return Measurement(**told | {"train_loss": math.nan if loss is None else loss})


def forget(path: Path) -> None:
    """Remove a snapshot, and what is left of one whose writing was killed."""
    path.unlink(missing_ok=True)
    path.with_name(f".new.{path.name}").unlink(missing_ok=True)


class Snapshot:
    """The snapshot at `path` of work of this identity, which an engine takes as `resume`.

    `made_with` is where this job runs (`tttnn.environment`). A `stop` that is told to end ends the
    job at the next measured number: `leave` is called with what to add about the document.
    """

    def __init__(
        self,
        path: Path,
        made_from: str,
        made_with: dict[str, Any],
        stop: Stop,
        leave: Callable[[str], NoReturn],
    ) -> None:
        self._path = path
        self._made_from = made_from
        self._made_with = made_with
        self._stop = stop
        self._leave = leave
        self._is_able = True
        self._seconds_per_byte = 1 / WRITTEN
        self._since = time.monotonic()
        self._environments: list[dict[str, Any]] = []

    @property
    def environments(self) -> list[dict[str, Any]]:
        """Where the document's earlier measurements were made, if by other jobs than this one."""
        return [other for other in self._environments if other != self._made_with]

    def saved(self, query: int | str) -> State | None:
        """What was saved of a document, which is begun now; None, and no file, if nothing was."""
        self._since, self._environments = time.monotonic(), []
        if not self._path.is_file():
            self.remove()
            return None
        try:
            tensors, said = load_tensors(self._path)
        except DamagedError as error:
            print(f"{error}; its document is begun again", file=sys.stderr)
            self.remove()
            return None
        if said["made_from"] != self._made_from or said["query"] != query:
            self.remove()
            return None
        self._environments = said["environments"]
        measurements = [_measurement(told) for told in said["measurements"]]
        after = measurements[-1].num_neighbors
        print(f"document {query}: going on after {after} neighbours", file=sys.stderr)
        halves = set(said["bfloat16"])
        return State(
            measurements,
            {
                name: torch.from_numpy(array).view(torch.bfloat16)
                if name in halves
                else torch.from_numpy(array)
                for name, array in tensors.items()
            },
        )

    def _is_worth(self, size: int) -> bool:
        takes = self._seconds_per_byte * size
        least = takes if self._stop else max(LEAST_SECONDS, WORTH * takes)
        return time.monotonic() - self._since > least

    def wants(self, size: int) -> bool:
        """Whether `save` would do anything with tensors of so many bytes."""
        return self._is_able and (bool(self._stop) or self._is_worth(size))

    def save(
        self,
        query: int | str,
        measurements: list[Measurement],
        tensors: Mapping[str, torch.Tensor],
    ) -> None:
        """Save a document that goes on behind these measurements, if it is worth it.

        For a job that is told to end it is worth it sooner, and then this does not return, unless
        there is no room: the document is finished first, if the job is given the time.
        """
        size = sum(tensor.nbytes for tensor in tensors.values())
        is_written = self._is_worth(size) and self._write(query, measurements, tensors, size)
        if is_written:
            self._since = time.monotonic()
        if self._stop and self._is_able:
            after = f", and document {query} after {measurements[-1].num_neighbors} neighbours"
            self._leave(after if is_written else "")

    def _write(
        self,
        query: int | str,
        measurements: list[Measurement],
        tensors: Mapping[str, torch.Tensor],
        size: int,
    ) -> bool:
        """Whether it could be written; if not, why not is said once, and never tried again."""
        if not self._is_able or not all(math.isfinite(m.loglikelihood) for m in measurements):
            return False
        free = shutil.disk_usage(self._path.parent).free
        if free < size + SPARE:
            return self._give_up(query, f"{size} bytes are needed for it, {free} are free")
        started = time.monotonic()
        halves = [name for name, tensor in tensors.items() if tensor.dtype == torch.bfloat16]
        arrays = {
            name: (tensor.view(torch.int16) if name in halves else tensor).detach().cpu().numpy()
            for name, tensor in tensors.items()
        }
        said = {
            "made_from": self._made_from,
            "query": query,
            "measurements": [_as_told(measurement) for measurement in measurements],
            "bfloat16": halves,
            "environments": [*self.environments, self._made_with],
        }
        try:
            save_tensors(self._path, arrays, said)
        except (OSError, SafetensorError) as error:
            return self._give_up(query, str(error))
        if size:
            self._seconds_per_byte = (time.monotonic() - started) / size
        return True

    def _give_up(self, query: int | str, why: str) -> bool:
        self._is_able = False
        print(
            f"{self._path} of document {query} cannot be written ({why}): documents are not saved "
            "half done, and a job that is killed begins the one it is at again",
            file=sys.stderr,
        )
        return False

    def remove(self) -> None:
        """Remove what is saved, when the document is in the journal."""
        forget(self._path)


def taken_by(adapt: Callable[..., Any], recipe: Method, resume: Snapshot) -> dict[str, Snapshot]:
    """The argument that an engine takes a snapshot as; none, and why not is said, for others."""
    if recipe.depends_on_order:
        why = f"with {recipe.depends_on_order} it depends on the documents before"
    elif "resume" not in inspect.signature(adapt).parameters:
        why = f"kind {recipe.kind} keeps no state"
    else:
        return {"resume": resume}
    resume.remove()
    print(f"documents are not saved half done: {why}", file=sys.stderr)
    return {}
