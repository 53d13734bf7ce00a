"""`tttnn crate`: a finished run as an RO-Crate, to be handed in with a paper.

An RO-Crate (Soiland-Reyes et al. 2022, doi:10.3233/DS-210053) is an archive that says of each file
what it is. This one has the tables, the figures, the report if it was made, the configuration, and
the workflow's own rules and locked versions; of the corpus and the models, which are too large, it
has the digests.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tttnn.digests import read_record
from tttnn.files import replacing, sha256
from tttnn.operations.started import last
from tttnn.reading import read_csv, read_json

REPOSITORY = Path(__file__).parents[3]
WORKFLOW = ("workflow/Snakefile", "rules/*.smk", "envs/*.lock", "config.yaml", "LICENSE")
MIT = "https://spdx.org/licenses/MIT"
RESULTS = {
    "tables": "A table of the run",
    "figures": "A figure of the run",
}


def _made(run: str) -> Iterator[tuple[str, Path, str]]:
    """Place in the crate, file, and what it is, of all that the run made to be read."""
    results = Path("results") / run
    folders = {"tables": results / "tables", "figures": Path("figures") / run}
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
            "description": f"{said['documents']} documents",
            "sha256": said["sha256"],
        }
    for manifest in sorted((results / "models").glob("*/manifest.json")):
        said = read_json(manifest)
        name = manifest.parent.name
        weights = [sha for file, sha in said["files"].items() if file.endswith(".safetensors")]
        yield {
            "@id": f"#model-{name}",
            "@type": "Dataset",
            "name": f"model {name}",
            "description": said.get("id") or f"{said['kind']}, {said['model_type']}",
            "version": said.get("revision", ""),
            "sha256": weights,
        }


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


def crate(*, run: str, output: Path, author: str | None = None) -> None:
    """Write a finished run as an RO-Crate, OUTPUT.zip, to be handed in with a paper.

    --run     the run, as in results/RUN
    --output  the new file, ending in .zip
    --author  whose run it is

    It holds the tables, the figures, the report where it was made, the configuration, and the
    workflow with its locked versions, each file with its SHA-256; of the corpus and the models
    their digests. It needs `rocrate`: `pip install '.[crate]'`.
    """
    try:
        from rocrate.model import ContextEntity, Person
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise ValueError(f"{error}: it is an extra, pip install '.[crate]'") from None

    if output.suffix != ".zip" or output.exists():
        raise ValueError(f"{output}: name a new file that ends in .zip")
    results = Path("results") / run
    if not (results / "tables/scores.csv").is_file():
        raise ValueError(f"{results / 'tables/scores.csv'} is missing: run {run} to its end first")
    made = ROCrate()
    made.name = f"Run {run}: test-time training on nearest neighbours"
    made.description = "Tables and figures of a run of the workflow tttnn, with what made them."
    made.license = MIT
    made.datePublished = datetime.now(UTC)
    files = {
        place: made.add_file(str(file), place, properties={"name": what, "sha256": sha256(file)})
        for place, file, what in _made(run)
    }
    for place, file in _of_workflow():
        about = {"sha256": sha256(file)}
        if file.name == "Snakefile":
            main = made.add_workflow(
                str(file), place, properties=about, main=True, lang="snakemake"
            )
        else:
            made.add_file(str(file), place, properties=about)
    inputs = [made.add(ContextEntity(made, values["@id"], values)) for values in _inputs(results)]
    versions = [
        made.add(ContextEntity(made, values["@id"], values))
        for values in _software(results / "tables")
    ]
    action = made.add_action(
        main,
        identifier=f"#run-{run}",
        object=inputs,
        result=list(files.values()),
        properties={"name": f"run {run}", **_times(run)},
    )
    action["environment"] = versions
    if author is not None:
        made.creator = made.add(Person(made, properties={"name": author}))
        action["agent"] = made.creator
    with replacing(output) as beside:
        made.write_zip(str(beside))
    print(f"{output}: {len(files)} files of run {run}, {len(inputs)} inputs by their digests")


def _times(run: str) -> dict[str, str]:
    start = last(Path.cwd(), run)
    if start is None:
        return {}
    ended = (Path("results") / run / "tables/scores.csv").stat().st_mtime
    times = {"startTime": start.since, "endTime": ended}
    return {
        name: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
        for name, at in times.items()
    }
