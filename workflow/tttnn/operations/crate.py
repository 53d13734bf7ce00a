"""`tttnn crate`: a finished run as an RO-Crate, to be handed in with a paper.

An RO-Crate (Soiland-Reyes et al. 2022, doi:10.3233/DS-210053) is an archive that says of each file
what it is. This one has the tables, the figures, the report if it was made, the configuration, and
the workflow's own rules, code and locked versions; of the corpus and the models, which are too
large, it has the digests.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tttnn
from tttnn.digests import read_record
from tttnn.files import replacing, sha256
from tttnn.operations.started import Start, last
from tttnn.places import project_of, run_folder
from tttnn.reading import read_csv, read_json
from tttnn.repository import of_workflow
from tttnn.wording import counted

REPOSITORY = Path(__file__).parents[3]
CODE = (".py", ".css", ".html", ".js", ".csv", ".parquet", ".rst", ".md")
WORKFLOW = (
    *("workflow/Snakefile", "workflow/dag.py", "workflow/report/*"),
    *(f"workflow/tttnn/**/*{suffix}" for suffix in CODE),
    *("rules/*.smk", "envs/*.lock", "config.yaml", "LICENSE", "CITATION.cff"),
)
MIT = "https://spdx.org/licenses/MIT"
RESULTS = {
    "tables": "A table of the run",
    "figures": "A figure of the run",
}


def _made(results: Path) -> Iterator[tuple[str, Path, str]]:
    """Place in the crate, file, and what it is, of all that the run made to be read."""
    figures = project_of(results) / "figures" / results.name
    folders = {"tables": results / "tables", "figures": figures}
    for name, folder in folders.items():
        for file in sorted(folder.glob("*")):
            if file.is_file() and not file.name.startswith("."):
                yield f"{name}/{file.name}", file, f"{RESULTS[name]}: {file.stem}"
    for name, what in (
        ("config.json", "The validated configuration of the run"),
        ("report.html", "The report of the run: its numbers, figures and tables"),
    ):
        if (results / name).is_file():
            yield name, results / name, what


def _of_workflow() -> Iterator[tuple[str, Path]]:
    for pattern in WORKFLOW:
        for file in sorted(REPOSITORY.glob(pattern)):
            yield f"software/{file.relative_to(REPOSITORY).as_posix()}", file


def _inputs(results: Path) -> Iterator[dict[str, Any]]:
    """What the run was made from, by digest: shards of the corpus, and models."""
    for manifest in sorted((results / "corpus").glob("*.json")):
        said = read_record(manifest)
        yield {
            "@id": f"#corpus-{manifest.stem}",
            "@type": "Dataset",
            "name": f"corpus, shard {manifest.stem}",
            "description": counted(said["documents"], "document"),
            "sha256": said["sha256"],
        }
    for manifest in sorted((results / "models").glob("*/manifest.json")):
        said = read_json(manifest)
        name = manifest.parent.name
        weights = [sha for file, sha in said["files"].items() if file.endswith(".safetensors")]
        described = {
            "@id": f"#model-{name}",
            "@type": "Dataset",
            "name": f"model {name}",
            "description": said.get("id") or f"{said['kind']}, {said['model_type']}",
            "sha256": weights,
        }
        if said.get("revision"):  # only the hub's have one
            described["version"] = said["revision"]
        yield described


def _software(tables: Path) -> Iterator[dict[str, Any]]:
    """The versions and devices that results were made with, each once."""
    table = read_csv(tables / "environment.csv", ["stage", "torch", "device"])
    for name in table.columns[3:-2]:  # between what was made, and how many files of it
        for number, value in enumerate(table[name].dropna().astype(str).unique()):
            yield {
                "@id": f"#{name}-{number}",
                "@type": "PropertyValue",
                "name": name,
                "value": value,
            }


def _package(start: Start | None) -> Iterator[dict[str, Any]]:
    """What computed the run: this package, and the commits that it was at whenever it started."""
    commits = list(start.commits) if start else []
    yield {
        "@id": "#tttnn",
        "@type": "SoftwareApplication",
        "name": "tttnn",
        "softwareVersion": tttnn.__version__,
    }
    now = of_workflow()
    for what, commit in (
        *(("git commit of the workflow when the run was started", each) for each in commits),
        *([("git commit of the workflow's files in this crate", now)] if now else []),
    ):
        yield {
            "@id": f"#{'-'.join(what.split())}-{commit[:12]}",
            "@type": "PropertyValue",
            "name": what,
            "value": commit,
        }


def crate(*, run: Path, output: Path, author: str | None = None) -> None:
    """Write a finished run as an RO-Crate, OUTPUT.zip, to be handed in with a paper.

    --run     the run: its name in this folder, or the path of its results/NAME
    --output  the new file, ending in .zip
    --author  whose run it is

    It holds the tables, the figures, the report where it was made, the configuration, and the
    workflow with its code, its locked versions and its commit, each file with its SHA-256; of the
    corpus and the models their digests. It needs `rocrate`: `pip install '.[crate]'`.
    """
    try:
        from rocrate.model import ContextEntity, Person
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise ValueError(f"{error}: it is an extra, pip install '.[crate]'") from None

    if output.suffix != ".zip" or output.exists():
        raise ValueError(f"{output}: name a new file that ends in .zip")
    results = run_folder(run)
    if not (results / "tables/scores.csv").is_file():
        raise ValueError(f"{results / 'tables/scores.csv'} is missing: run it to its end first")
    name = results.name
    start = last(project_of(results), name)
    made = ROCrate()
    made.name = f"Run {name}: test-time training on nearest neighbours"
    made.description = "Tables and figures of a run of the workflow tttnn, with what made them."
    made.license = MIT
    made.datePublished = datetime.now(UTC)
    files = {
        place: made.add_file(str(file), place, properties={"name": what, "sha256": sha256(file)})
        for place, file, what in _made(results)
    }
    for place, file in _of_workflow():
        about = {"sha256": sha256(file)}
        if file.name == "Snakefile":
            main = made.add_workflow(
                str(file),
                place,
                properties=about | {"version": tttnn.__version__},
                main=True,
                lang="snakemake",
            )
        else:
            made.add_file(str(file), place, properties=about)
    inputs = [made.add(ContextEntity(made, values["@id"], values)) for values in _inputs(results)]
    versions = [
        made.add(ContextEntity(made, values["@id"], values))
        for values in (*_package(start), *_software(results / "tables"))
    ]
    action = made.add_action(
        main,
        identifier=f"#run-{name}",
        object=inputs,
        result=list(files.values()),
        properties={"name": f"run {name}", **_times(results, start)},
    )
    action["environment"] = versions
    if author is not None:
        made.creator = made.add(Person(made, properties={"name": author}))
        action["agent"] = made.creator
    with replacing(output) as beside:
        made.write_zip(str(beside))
    told = f"{counted(len(files), 'file')} of run {name}, {counted(len(inputs), 'input')} by digest"
    print(f"{output}: {told}")


def _times(results: Path, start: Start | None) -> dict[str, str]:
    if start is None:
        return {}
    ended = (results / "tables/scores.csv").stat().st_mtime
    times = {"startTime": start.since, "endTime": ended}
    return {
        name: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        for name, at in times.items()
    }
