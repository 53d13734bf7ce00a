"""How runs were started in a folder: written by `onstart`, one file a run; the last start wins."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path
from typing import NamedTuple

import psutil

from tttnn.files import write_json
from tttnn.repository import of_workflow

FILE = "started.json"  # results/<run>/
SECONDS = 2.0  # by which the start of one process may be reported differently


class Start(NamedTuple):
    """A start of Snakemake: its command line, and the process that it was.

    `program` and `arguments` are as they were given, in `folder`; `directory` is where the results
    are. `configfiles` (from there, or absolute) and `settings` are those of the command line and of
    profiles; `snakefile` is the one that was read.
    """

    run: str
    program: list[str]
    arguments: list[str]
    folder: str
    directory: str
    configfiles: list[str]
    settings: list[str]
    host: str
    process: int
    since: float  # seconds since 1970
    commits: Sequence[str] = ()  # of the workflow at this start and earlier ones, each once
    snakefile: str | None = None  # None of starts that earlier versions wrote down

    @property
    def is_here(self) -> bool:
        """Whether this machine is the one that it ran on."""
        return self.host == platform.node()

    def works_in(self, directory: Path) -> bool:
        """Whether its process is at work there; False where that is on another machine.

        A folder that was copied or moved has the starts of the one that it comes from.
        """
        if not self.is_here or Path(self.directory) != directory:
            return False
        try:
            process = psutil.Process(self.process)
            ended = process.status() == psutil.STATUS_ZOMBIE
            return not ended and abs(process.create_time() - self.since) < SECONDS
        except psutil.NoSuchProcess:
            return False

    def command(self, *options: str) -> str:
        """The line that goes on with it, to be pasted into a shell in `directory`.

        `options` that it lacks are put before its own: what follows those may be targets.
        """
        program, name = self.program, Path(self.program[0]).name
        if shutil.which(name) == program[0]:
            program = [name, *program[1:]]
        more = [option for option in options if option not in self.arguments]
        line = shlex.join([*program, *more, *self.arguments])
        return line if self.folder == self.directory else f"cd {shlex.quote(self.folder)} && {line}"


def _program(folder: Path) -> list[str]:
    """What stands before the arguments of this process: a script, or Python with what it runs."""
    before = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv[1:])]
    if len(before) == 1:  # a script; absolute, for it may have been found through PATH
        script = folder / before[0]
        if shutil.which(script):
            return [str(script)]
        before = [str(script)]
    return [sys.executable, *before]


def note(
    run: str,
    folder: Path,
    configfiles: Sequence[Path],
    settings: Sequence[str],
    snakefile: str | None = None,
) -> None:
    """Write down this process's start, made in `folder`, of a run in the working directory.

    `configfiles` are absolute.
    """
    here = Path.cwd()
    before = last(here, run)
    commits = [*(before.commits if before else ()), *filter(None, [of_workflow()])]
    start = Start(
        run=run,
        program=_program(folder),
        arguments=sys.argv[1:],
        folder=str(folder),
        directory=str(here),
        configfiles=[
            str(file.relative_to(here) if file.is_relative_to(here) else file)
            for file in configfiles
        ],
        settings=list(settings),
        host=platform.node(),
        process=psutil.Process().pid,
        since=psutil.Process().create_time(),
        commits=list(dict.fromkeys(commits)),
        snakefile=snakefile,
    )
    write_json(Path("results", run, FILE), start._asdict())


def _starts(directory: Path, run: str) -> Iterator[Start]:
    for file in directory.glob(f"results/{run}/{FILE}"):
        try:
            yield Start(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ValueError(f"{file} is damaged: remove it") from None


def last(directory: Path, run: str | None = None) -> Start | None:
    """The last start in `directory`, of one run or of any; None if none was written down."""
    starts = _starts(directory, "*" if run is None else escape(run))
    return max(starts, key=lambda start: start.since, default=None)


def refuse_second(directory: Path) -> None:
    """Raise `ValueError` while another Snakemake is at work in `directory`.

    Snakemake locks only the files of its own jobs, and whichever process ends first removes the
    locks of all (`FilePersistence._delete_locks`).
    """
    for start in _starts(directory, "*"):
        if start.works_in(directory) and start.process != psutil.Process().pid:
            raise ValueError(
                f"Snakemake (process {start.process}) is at work in {directory}, on run "
                f"{start.run}: wait for its end, stop it with Ctrl-C, or give another folder with "
                "--directory"
            )
