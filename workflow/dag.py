"""Snakemake's own list of a run's jobs: for the Snakefile, and for commands that start this file.

    python workflow/dag.py [--snakefile FILE] [--configfile FILE ...] [--config KEY=VALUE ...]

prints JSON: the configuration as Snakemake merged it and the Snakefile checked it, and the jobs
behind `snakemake` with these options. Nothing is run, and nothing is locked. The Snakefile is the
one that `snakemake` takes in the working directory, a project's that has this workflow as a module;
where there is none, the one beside this file. What is asked of Snakemake beyond its documented
interface stands in this file alone; envs/*.lock pin its version.
"""

from __future__ import annotations

import argparse
import json
import sys
from inspect import signature
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from snakemake.api import DAGApi, SnakemakeApi, resolve_snakefile
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
from tttnn.config.root import Config

FOLDER = Path(__file__).parents[1]


def listed(dag: DAG, workflow: Workflow) -> list[dict[str, Any]]:
    """The jobs with files of their own, rules in the order of the Snakefile.

    Rules that a project adds to this workflow are left out: nobody knows here what they need.
    `needed`: Snakemake would run it now. `temporary` are those of its `outputs` that are removed
    once they were used.
    """
    order = {rule.name: position for position, rule in enumerate(workflow.rules)}
    jobs = sorted(
        (job for job in dag.jobs if job.output and _is_ours(job.rule.snakefile)),
        key=lambda job: order[job.rule.name],
    )
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


def _is_ours(snakefile: str) -> bool:
    """Of a checkout of this workflow, which need not be the one that this file is in."""
    return (Path(snakefile).resolve().parents[1] / "workflow/dag.py").is_file()


def _checked(workflow: Workflow) -> Config:
    """The configuration that the Snakefile checked, here or where it is a module of a project's."""
    spaces = [workflow.globals, *map(vars, _modules(workflow))]
    found = [space["asked"] for space in spaces if isinstance(space.get("asked"), Config)]
    if len(found) == 1:
        return found[0]
    raise ConfigError(
        f"{workflow.main_snakefile} has this workflow {len(found)} times as a module, and not "
        "once: give --snakefile one that has it once, as `tttnn deploy` writes it"
    )


def _modules(workflow: Workflow) -> list[ModuleType]:
    """What Snakemake keeps of each module that a Snakefile uses."""
    return [workflow.globals[name] for name in workflow.modules if name in workflow.globals]


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


def _ask(snakefile: Path, configfiles: list[Path], settings: list[str]) -> dict[str, Any]:
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
                snakefile=snakefile,
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
        return {
            "config": _checked(workflow).model_dump(mode="json"),
            "jobs": listed(workflow.dag, workflow),
        }


def main() -> None:
    """Print the answer, or a fault of the configuration without its place in the code.

    What else Snakemake has to say goes to stderr.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--snakefile", type=Path)
    parser.add_argument("--configfile", nargs="*", type=Path, default=[])
    parser.add_argument("--config", nargs="*", default=[])
    options = parser.parse_args()
    caches.settle()  # before Snakemake asks for its own, which it does ahead of the Snakefile
    here = options.snakefile or resolve_snakefile(None, allow_missing=True)
    try:
        answer = _ask(here or FOLDER / "workflow/Snakefile", options.configfile, options.config)
    except (OSError, ValueError, WorkflowError) as error:
        print(error)
        sys.exit(1)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
