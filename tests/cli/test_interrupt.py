"""Ctrl-C while the command line is being imported: one line and the status of an interrupted command, no traceback."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = (str(Path(sys.executable).with_name("lnsmadam")),)
MODULE = (sys.executable, "-m", "lnsmadam")
#: In NumPy's place: sends the signal as Ctrl-C would, while it is imported.
NUMPY = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
except BaseException as error:
    {reaction}
os._exit(7)
"""
REACTIONS = {"none": "raise", "another error": "raise ImportError('x') from error", "swallowed": "pass"}


def started(command, handler=signal.SIG_DFL, **environment):
    """The process of a command, with that reaction to the signal: a test runner's may be any."""
    return subprocess.Popen(
        [*command, "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
    )


@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])
@pytest.mark.parametrize("reaction", REACTIONS)
def test_an_import_is_interrupted(command, reaction, tmp_path):
    (tmp_path / "numpy.py").write_text(NUMPY.format(reaction=REACTIONS[reaction]))
    process = started(command, PYTHONPATH=str(tmp_path))
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "lnsmadam: interrupted\n")


@pytest.mark.parametrize("milliseconds", [50, 100, 200, 400])
def test_whenever_the_signal_comes(milliseconds):
    process = started(SCRIPT)
    time.sleep(milliseconds / 1000)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    # Python's own start has Python's own traceback, and on a fast machine the command has ended.
    assert not re.search(r"lnsmadam/(?!__init__|__main__)\w+\.py", error), error
    if "Traceback" not in error and process.returncode not in (0, -signal.SIGINT):
        assert (process.returncode, error) == (130, "lnsmadam: interrupted\n")


def test_where_the_signal_is_ignored_it_stays_so(tmp_path):
    """As in the background of a shell without job control."""
    (tmp_path / "numpy.py").write_text(NUMPY.format(reaction="raise"))
    process = started(SCRIPT, signal.SIG_IGN, PYTHONPATH=str(tmp_path))
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (7, "")
