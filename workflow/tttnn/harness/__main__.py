"""The harness's own command line, with the model `tttnn`: `python -m tttnn.harness run …`."""

from __future__ import annotations

from lm_eval.__main__ import cli_evaluate

if __name__ == "__main__":
    import tttnn.harness.model  # noqa: F401  # which registers it

    cli_evaluate()
