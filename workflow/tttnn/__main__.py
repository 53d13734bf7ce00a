"""`tttnn …` and `python -m tttnn …`: hand the work to a waiting process, or do it here."""

from __future__ import annotations

import sys

from tttnn.worker import hand_over


def main() -> None:
    """Run one stage or command (see `tttnn.command`); a run's worker takes the stages it can."""
    status = hand_over(sys.argv[1:])
    if status is None:
        from tttnn.command import main as run  # half a second, which what is handed over saves

        run(sys.argv[1:])
    else:
        sys.exit(status)


if __name__ == "__main__":
    main()
