"""The system's Chromium, for tests that look at a page as a reader does."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@cache
def chromium() -> str | None:
    """The browser that `TTTNN_CHROMIUM` names, or one on the path; None where there is none.

    As root on a Debian without one, as in continuous integration, it is installed.
    """
    if named := os.environ.get("TTTNN_CHROMIUM"):
        return named
    if (found := _found()) or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("apt-get", "update", "-qq"), INSTALL):
        if subprocess.run(command, env=quiet, capture_output=True).returncode:
            return None
    return _found()
