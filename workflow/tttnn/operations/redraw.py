"""Draw a run's figures again from a record of it."""

from __future__ import annotations

from pathlib import Path

from tttnn.config.figures import FIGURES
from tttnn.figures.draw import FigureSpec, draw_figure
from tttnn.records.manifest import NAME, check_tables, is_record, read_manifest


def redraw(record: Path, folder: Path, /) -> None:
    """Draw every figure that a record's tables can fill, as the run itself drew it.

    What they cannot fill is said, with the reason. The same tables give the same bytes.

    Raises `ValueError` for a folder that is no whole record.
    """
    if not is_record(record):
        raise ValueError(
            f"{record}/{NAME} is missing: name a folder that `tttnn record` wrote (a run draws its "
            "own figures: snakemake all)"
        )
    check_tables(record, read_manifest(record))
    drawn = []
    for name, figure in FIGURES.items():
        spec = FigureSpec(name=name, module=figure.module)
        try:
            draw_figure(spec, record, folder / f"{name}.svg", folder / f"{name}.pdf")
        except (ValueError, FileNotFoundError) as error:
            missing = error if isinstance(error, FileNotFoundError) else error.__cause__
            if isinstance(missing, FileNotFoundError):
                print(f"not drawn: {name}: the record lacks a table of the run's")
            else:
                print(f"not drawn: {name}: {error}")
        else:
            drawn.append(name)
    print(f"{folder}: {', '.join(drawn)}")
