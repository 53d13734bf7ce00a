"""Snakemake's own list of a run's jobs: for the Snakefile, and for commands that start this file.

    python workflow/dag.py [--configfile FILE ...] [--config KEY=VALUE ...]

prints JSON: the configuration as Snakemake merged it and the Snakefile checked it, and the jobs
behind `snakemake` with these options. Nothing is run, and nothing is locked. What is asked of
Snakemake beyond its documented interface stands in this file alone; envs/*.lock pin its version.
"""

from __future__ import annotations

import argparse
import json
import sys
from inspect import signature
from pathlib import Path
from types import FrameType
from typing import Any

from snakemake.api import DAGApi, SnakemakeApi
from snakemake.common import overwrite_function_params
from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.io import is_flagged
from snakemake.resources import Resource
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)
from snakemake.workflow import Workflow

from tttnn import caches
from tttnn.config.load import ConfigError


def listed(dag: DAG, workflow: Workflow) -> list[dict[str, Any]]:
    """The jobs with files of their own, rules in the order of the Snakefile.

    `needed`: Snakemake would run it now. `temporary` are those of its `outputs` that are removed
    once they were used.
    """
    order = {rule.name: position for position, rule in enumerate(workflow.rules)}
    jobs = sorted((job for job in dag.jobs if job.output), key=lambda job: order[job.rule.name])
    return [
        {
            "rule": job.rule.name,
            "wildcards": dict(job.wildcards_dict),
            "outputs": list(map(str, job.output)),
            "temporary": [str(file) for file in job.output if is_flagged(file, "temp")],
            "log": next(iter(map(str, job.log)), None),
            "benchmark": job.benchmark and str(job.benchmark),
            "needed": dag.needrun(job),
        }
        for job in jobs
    ]


def quicken(workflow: Workflow) -> None:
    """Spare Snakemake, at the end of the Snakefile, what costs time for every job and says nothing.

    Of each resource of each job it takes the signature of `Resource.evaluate`, twice. And for a
    message, and three times for a command, it copies all names of the Snakefile, some 400, in case
    the text has one of them: ours have inputs, outputs, params, wildcards and resources alone, and
    one with another name is refused when it is planned.
    """
    overwrite_function_params(Resource.evaluate, signature(Resource.evaluate).parameters)
    if workflow.modifier.is_main_snakefile():  # else whoever takes this as a module has the names
        names = workflow.globals
        workflow.modifier.globals = {name: names[name] for name in ("config", "asked", "cfg")}


def first_folder() -> Path:
    """Where the running Snakemake was started, whose `--directory` may have led it elsewhere."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, DAGApi):
            return caller.workflow_api._workdir_handler.olddir or Path.cwd()
        frame = frame.f_back
    return Path.cwd()


def _ask(configfiles: list[Path], settings: list[str]) -> dict[str, Any]:
    from snakemake.cli import parse_config  # half a second, and not the Snakefile's

    given = ConfigSettings(
        config=parse_config(settings), configfiles=configfiles, config_args=settings
    )
    output = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with SnakemakeApi(output) as api:
        try:
            read = api.workflow(
                ResourceSettings(cores=1),
                config_settings=given,
                snakefile=Path(__file__).with_name("Snakefile"),
            )
            read.dag(DAGSettings())
            workflow = read._workflow
            workflow._prepare_dag(
                forceall=False, ignore_incomplete=True, lock_warn_only=True, nolock=True
            )
            workflow._build_dag()
        except ConfigError:
            raise
        except Exception as error:
            api.print_exception(error)
            sys.exit(1)
        checked = workflow.globals["asked"]
        return {
            "config": checked.model_dump(mode="json"),
            "jobs": listed(workflow.dag, workflow),
        }


def main() -> None:
    """Print the answer, or a fault of the configuration without its place in the code.

    What else Snakemake has to say goes to stderr.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", nargs="*", type=Path, default=[])
    parser.add_argument("--config", nargs="*", default=[])
    options = parser.parse_args()
    caches.settle()  # before Snakemake asks for its own, which it does ahead of the Snakefile
    try:
        answer = _ask(options.configfile, options.config)
    except (OSError, ValueError, WorkflowError) as error:
        print(error)
        sys.exit(1)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
