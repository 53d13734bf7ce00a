"""All benchmarks that take no files, each small: their tables, and whether their numbers agree.

make bench                            # some minutes on two cores
python benchmarks/run.py [engines …]  # those named
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNS = {
    "engines": ["engines.py", "--shape", "36m", "--neighbors", "4", "--repeats", "5"],
    "exact_search": [
        "exact_search.py",
        "--vectors",
        "100000",
        "--queries",
        "500",
        "--single",
        "10",
    ],
    "selection": ["selection.py", "--queries", "10"],
    "embedding": ["embedding.py", "--texts", "32", "--repeats", "3"],
    "overlap": ["overlap.py", "--queries", "10"],
}
"""By name, a script and its options; each ends with a status other than 0 if numbers differ."""


def main(wanted: list[str]) -> int:
    if unknown := [name for name in wanted if name not in RUNS]:
        raise SystemExit(f"no benchmark {unknown[0]!r}; there are {', '.join(RUNS)}")
    failed = []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(HERE.parent / "workflow"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    for name in wanted or RUNS:
        script, *options = RUNS[name]
        print(f"== {' '.join(['python', f'benchmarks/{script}', *options])}", flush=True)
        started = time.monotonic()
        command = [sys.executable, str(HERE / script), *options]
        status = subprocess.run(command, env=environment, check=False).returncode
        print(f"== {name}: {time.monotonic() - started:.0f} s, status {status}\n", flush=True)
        if status:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all numbers agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
