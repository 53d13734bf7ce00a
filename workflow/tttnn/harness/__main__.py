"""The harness's own command line, with the model `tttnn`: `python -m tttnn.harness run …`.

A fault that the user can mend ends in one message, as in `tttnn.command`; with TTTNN_TRACEBACK in
the environment in the traceback.
"""

from __future__ import annotations

import os
import sys

from lm_eval.__main__ import cli_evaluate

if __name__ == "__main__":
    import tttnn.harness.model  # noqa: F401  # which registers it

    try:
        cli_evaluate()
    except (ValueError, OSError) as error:
        if "TTTNN_TRACEBACK" in os.environ:
            raise
        sys.exit(f"tttnn.harness: {error}")
