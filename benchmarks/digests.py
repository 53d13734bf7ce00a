"""What comparing digests costs a run: processor seconds of each stage, and of digests within it.

python benchmarks/digests.py snakemake --cores 2        # or any other command that runs stages

Every stage that the command starts, in whatever process, notes what it took when it ends.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

NOTES = "TTTNN_DIGEST_NOTES"
spent = {"digests": 0.0, "disk": 0.0}
is_inside = False


def _timed(module: ModuleType, name: str) -> None:
    function = getattr(module, name)

    @wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        global is_inside
        if is_inside:  # one digest calls another
            return function(*arguments, **options)
        is_inside, started = True, time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            is_inside = False
            spent["digests"] += time.process_time() - started

    setattr(module, name, timed)


def _waited(fsync: Callable[[int], None]) -> Callable[[int], None]:
    def waited(descriptor: int) -> None:
        started = time.perf_counter()
        fsync(descriptor)
        spent["disk"] += time.perf_counter() - started

    return waited


def watch() -> None:
    """Time what makes and compares digests, and waiting for the disk, in this process."""
    from tttnn import digests, tables
    from tttnn.retrieval import rows, tensors

    names = {
        digests: "check_file check_model update write_record read_record seal check_seal "
        "block_digests check_blocks",
        tables: "_digest _check_footer check_table table_digest",
        rows: "checksums",
        tensors: "_digest",
    }
    for module, some in names.items():
        for name in some.split():
            _timed(module, name)
    os.fsync = _waited(os.fsync)
    cpu, wall = time.process_time(), time.perf_counter()
    stage = sys.orig_argv[sys.orig_argv.index("tttnn") + 1]

    def note() -> None:
        took = (time.process_time() - cpu, time.perf_counter() - wall, *spent.values())
        with Path(os.environ[NOTES]).open("a", encoding="utf-8") as file:
            file.write(f"{stage} {' '.join(f'{seconds:.4f}' for seconds in took)}\n")

    atexit.register(note)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        hook = f"import sys\nif 'tttnn' in sys.orig_argv:\n    {watch.__name__}()\n"
        Path(folder, "sitecustomize.py").write_text(
            Path(__file__).read_text(encoding="utf-8").partition("\nif __name__")[0] + "\n" + hook,
            encoding="utf-8",
        )
        notes = Path(folder, "notes")
        subprocess.run(
            sys.argv[1:], check=True, env=os.environ | {"PYTHONPATH": folder, NOTES: str(notes)}
        )
        totals: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
        for line in notes.read_text(encoding="utf-8").splitlines():
            stage, *seconds = line.split()
            for into in (stage, "all"):
                totals[into] = [a + float(b) for a, b in zip(totals[into], seconds, strict=True)]
    print(f"{'stage':20}{'CPU s':>9}{'wall s':>9}{'digests':>9}{'%':>7}{'disk s':>8}{'%':>7}")
    for stage, (cpu, wall, digests, disk) in sorted(totals.items(), key=lambda item: -item[1][0]):
        print(
            f"{stage:20}{cpu:9.1f}{wall:9.1f}{digests:9.2f}{100 * digests / cpu:7.2f}"
            f"{disk:8.2f}{100 * disk / wall:7.2f}"
        )


if __name__ == "__main__":
    main()
