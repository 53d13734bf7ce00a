"""Work that survives the end of its job: what it was made from, and being told to end.

A scheduler announces the end of a job's time, or a preemption, by a signal (SLURM's `--signal`).
A stage that keeps its progress looks at `Stop` at each place where it is safe to stop, saves, and
leaves with a status that fails the job, so that it is tried again and goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from tttnn.files import sha256
from tttnn.provenance import fingerprint

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
TRY_AGAIN = os.EX_TEMPFAIL  # 75


def identity(modules: Iterable[str], settings: Iterable[str], files: Iterable[Path]) -> str:
    """One digest of what half-done work depends on: a stage's modules, settings and inputs."""
    parts = [*map(fingerprint, modules), *settings, *(sha256(path) for path in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def journal(output: Path) -> Path:
    """Where half-done work keeps what is finished: a line of identity, then one for each piece."""
    return output.with_name(f".{output.stem}.journal")


def snapshot(output: Path) -> Path:
    """Where half-done work keeps the state of the piece that it is at, beside its journal."""
    return output.with_name(f".{output.stem}.snapshot.safetensors")


def partial_output(output: Path) -> Path:
    """Where half-done work keeps an output that grows in place; `note_beside` belongs to it."""
    return output.with_name(f".{output.stem}.partial")


def note_beside(partial: Path) -> Path:
    """JSON that says how many pieces of a partial output are `done`."""
    return partial.with_name(f"{partial.name}.json")


def saved(output: Path) -> int:
    """Pieces of an unfinished output that its stage has saved so far, by what lies beside it."""
    lines, note = journal(output), note_beside(partial_output(output))
    try:
        if lines.is_file():
            return max(0, lines.read_bytes().count(b"\n") - 1)
        if note.is_file():
            return int(json.loads(note.read_text(encoding="utf-8"))["done"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # just removed, or damaged: the stage will say so and begin again
    return 0


class Stop:
    """While this context is open, SIGUSR1 and SIGTERM only make it true; see the module.

    A repeated signal changes nothing: SLURM may send one to every process of a job and again to
    those that another one passes it on to. SIGKILL, which follows after the scheduler's grace,
    loses what was done since progress was last saved.
    """

    def __init__(self) -> None:
        self._told: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self._told is not None

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self._told is None:
            self._told = signal.Signals(number)
            # not print: the signal may have come while stderr was being written to
            os.write(2, f"\n{self._told.name}: stopping at the next safe place\n".encode())

    def leave(self, done: str) -> NoReturn:
        """End the process with status 75 and a line that says what is `done`."""
        name = self._told.name if self._told else "stopped"
        print(f"{name}: saved {done}, going on at the next attempt", file=sys.stderr)
        raise SystemExit(TRY_AGAIN)
