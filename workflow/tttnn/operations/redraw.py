"""Draw a run's figures again from a record of it."""

from __future__ import annotations

from pathlib import Path

from tttnn.config.figures import FIGURES, drawn
from tttnn.config.load import ConfigError, load
from tttnn.figures.draw import FigureSpec, draw_figure
from tttnn.records.manifest import NAME, Manifest, check_tables, is_record, read_manifest


def _of_run(manifest: Manifest) -> list[str]:
    """The figures that the run drew; all there are where its configuration is of other keys."""
    try:
        return drawn(load(manifest.config))
    except ConfigError:
        return list(FIGURES)


def redraw(record: Path, folder: Path, /) -> None:
    """Draw the figures of a record's run again, as the run itself drew them.

    RECORD  a folder that `tttnn record` wrote
    FOLDER  for the figures

    What its tables cannot fill is said, with the reason. The same tables give the same bytes.

    Raises `ValueError` for a folder that is no whole record.
    """
    if not is_record(record):
        raise ValueError(
            f"{record}/{NAME} is missing: name a folder that `tttnn record` wrote (a run draws its "
            "own figures: snakemake all)"
        )
    manifest = read_manifest(record)
    check_tables(record, manifest)
    done = []
    for name in _of_run(manifest):
        spec = FigureSpec(name=name, module=FIGURES[name].module)
        try:
            draw_figure(spec, record, folder / f"{name}.svg", folder / f"{name}.pdf")
        except (ValueError, FileNotFoundError) as error:
            missing = error if isinstance(error, FileNotFoundError) else error.__cause__
            if isinstance(missing, FileNotFoundError):
                print(f"not drawn: {name}: the record lacks a table of the run's")
            else:
                print(f"not drawn: {name}: {error}")
        else:
            done.append(name)
    print(f"{folder}: {', '.join(done)}")
