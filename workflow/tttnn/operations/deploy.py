"""`tttnn deploy`: a project of one's own that uses this workflow as a module.

The layout is the workflow catalogue's: `workflow/Snakefile`, `config/config.yaml`. What one adds,
such as rules that go on from the tables, stands in the project and not in a clone.
"""

from __future__ import annotations

import json
import shutil
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
'''


def deploy(output: Path, /) -> None:
    """Write a project that uses this workflow as a module, into the new folder OUTPUT.

    It has workflow/Snakefile, config/config.yaml (this workflow's complete default) and README.md.
    Run it there: `snakemake --cores 2`. This workflow's own folder stays where it is and is read.
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
        shutil.copyfile(default, beside / "config/config.yaml")
        (beside / "README.md").write_text(
            f"Uses {REPOSITORY} as a module.\n\n    snakemake --cores 2\n", encoding="utf-8"
        )
    print(f"{output}: edit config/config.yaml there, then run `snakemake --cores 2` in it")
