"""`tttnn deploy`: a project of one's own that uses this workflow as a module.

The layout is the workflow catalogue's: `workflow/Snakefile`, `config/config.yaml`. What one adds,
such as rules that go on from the tables, stands in the project and not in a clone.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tttnn.files import replacing

REPOSITORY = Path(__file__).parents[3]

SNAKEFILE = '''"""Test-time training on nearest neighbours, as a module; add rules below."""


configfile: "config/config.yaml"


module tttnn:
    snakefile:
        {snakefile}
    config:
        config


use rule * from tttnn


# what `tttnn status`, `query`, `record` and others know of a run, and the line at its end
onstart:
    tttnn.onstart()


onerror:
    tttnn.onerror()


onsuccess:
    tttnn.onsuccess()
'''

README = """Test-time training on nearest neighbours, with the workflow in {repository} as a module.

`config/config.yaml` says what is computed; rules of your own go into `workflow/Snakefile`. In this
folder:

    snakemake --cores 2        # the run; results/<run>/report.html is to be read first
    tttnn plan                 # what it would take
    tttnn status               # how far it is

`tttnn` is the command in the environment of that workflow; `tttnn --help` lists what else it does.
Files laid over the configuration (`--configfile`), documentation and profiles lie there, too:
{repository}/config, {repository}/docs.
"""

PATH = re.compile(r"(?<![\w/.-])(?=(?:config|docs|envs|slurm)/)")
"""Where a path begins that a comment names from the workflow's own folder."""


def _commented(text: str) -> str:
    """A configuration whose comments name files from anywhere."""

    def elsewhere(line: str) -> str:
        said, mark, comment = line.partition("#")
        return said + mark + PATH.sub(lambda _: f"{REPOSITORY.as_posix()}/", comment)

    return "".join(map(elsewhere, text.splitlines(keepends=True)))


def deploy(output: Path, /) -> None:
    """Write a project that uses this workflow as a module, into a new folder.

    OUTPUT  the new folder

    It has workflow/Snakefile, config/config.yaml (this workflow's complete default) and README.md.
    Run it there: `snakemake --cores 2`. `tttnn plan` and the other commands know its settings, if
    they are given there. This workflow's own folder stays where it is and is read.
    """
    if output.exists():
        raise ValueError(f"{output} is there already: name a new folder")
    default = REPOSITORY / "config.yaml"
    if not default.is_file():
        raise ValueError(
            f"{default} is missing: the package is installed without the workflow's folder; clone "
            "the repository and deploy from there"
        )
    snakefile = json.dumps(str(REPOSITORY / "workflow" / "Snakefile"), ensure_ascii=False)
    with replacing(output, directory=True) as beside:
        (beside / "workflow").mkdir()
        (beside / "config").mkdir()
        (beside / "workflow/Snakefile").write_text(
            SNAKEFILE.format(snakefile=snakefile), encoding="utf-8"
        )
        configuration = _commented(default.read_text(encoding="utf-8"))
        (beside / "config/config.yaml").write_text(configuration, encoding="utf-8")
        readme = README.format(repository=REPOSITORY.as_posix())
        (beside / "README.md").write_text(readme, encoding="utf-8")
    print(f"{output}: edit config/config.yaml there, then run `snakemake --cores 2` in it")
