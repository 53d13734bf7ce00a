"""Run a training in several processes of one machine, a GPU each: torchrun's launcher."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tttnn.resume import TRY_AGAIN

SAVE_SECONDS = 300  # for the processes to save when told to end; the scheduler may give them less


def run_processes(function: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `function` in `count` processes with `LOCAL_RANK`, `WORLD_SIZE` … in the environment.

    A signal to this process reaches them all. Raises `SystemExit` with status 75 where they saved
    their work and stopped, and `ValueError` where one failed; its traceback is on stderr by then.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        signals_to_handle="SIGUSR1,SIGTERM,SIGINT,SIGHUP,SIGQUIT",
        shutdown_timeout=SAVE_SECONDS,
    )
    try:
        elastic_launch(config, function)(*arguments)
    except SignalException:
        raise SystemExit(TRY_AGAIN) from None
    except ChildFailedError as error:
        failed = {failure.exitcode for failure in error.failures.values()}
        if failed == {TRY_AGAIN}:
            raise SystemExit(TRY_AGAIN) from None
        raise ValueError(
            f"of {count} processes {len(error.failures)} failed: see the first error above"
        ) from error
