"""The command line as a user types it: the installed console script in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("lnsmadam")


@pytest.fixture(scope="session")
def typed(tmp_path_factory):
    """``typed("generate sqrt -o x", cwd)``: status, standard output and error of ``lnsmadam …``."""

    def run(line, cwd=None, command=(str(SCRIPT),), **environment):
        return subprocess.run(
            [*command, *(line.split() if isinstance(line, str) else line)],
            cwd=cwd or tmp_path_factory.mktemp("typed"),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
