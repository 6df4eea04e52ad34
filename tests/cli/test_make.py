"""``make verify`` with programs that do nothing: every part has its turn, and the page is made, whatever fails."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["simulate", "train", "error", "prove", "gates", "mutate", "soak", "coverage", "page"]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

#: Writes its command down; fails where the command begins with one of $FAILING.
PROGRAM = """\
#!/bin/sh
case "$*" in *UNITS*) echo square sqrt; exit 0;; esac
echo "$(basename "$0") $*" >> called
for word in $FAILING; do case "$(basename "$0") $*" in *"$word"*) exit 1;; esac; done
"""


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """``make("verify", failing="prove")``: status, what was called, output."""
    tmp_path = tmp_path_factory.mktemp("make")
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "constraints.txt", tmp_path / ".ci")
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "lnsmadam", "coverage"):
        (folder / name).write_text(PROGRAM)
        (folder / name).chmod(0o755)
    (tmp_path / "venv" / ".ready").touch()

    def run(target, failing=""):
        (tmp_path / "called").unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
        done = subprocess.run(
            ["make", target, "VENV=venv", "RECORDS=found"],
            cwd=tmp_path,
            env={**environment, "FAILING": failing},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, (tmp_path / "called").read_text().splitlines(), done.stdout + done.stderr

    return run


def commands(called):
    return [line.split()[1] for line in called if line.startswith("lnsmadam ")]


@pytest.fixture(scope="module")
def whole(make):
    return make("verify")


def test_every_part_runs_and_leaves_records(whole):
    status, called, output = whole
    assert status == 0, output
    assert list(dict.fromkeys(commands(called))) == PARTS
    assert called[-1] == "lnsmadam page --records found --document docs/verification.md"
    assert all("--records found" in line for line in called if line.startswith("lnsmadam "))
    assert sum(line.startswith("lnsmadam mutate ") for line in called) == 2
    assert sum(line.startswith("python -m pytest") for line in called) == 4


@pytest.mark.parametrize(
    "failing, parts",
    [
        ("pytest lnsmadam json", "slow simulate error prove gates mutation soak fuzz coverage page"),
        ("square", "simulate mutation"),
        ("page", "page"),
    ],
)
def test_one_that_fails_keeps_no_other_from_its_turn(make, whole, failing, parts):
    status, called, output = make("verify", failing)
    assert status == 2 and called == whole[1]
    assert [line for line in output.splitlines() if line.startswith("verify: ")] == [f"verify: failed: {parts}"]


@pytest.mark.parametrize("failing", ["slow", "test_kernel", "json", "lnsmadam"])
def test_each_step_of_coverage_counts(make, failing):
    status, called, _ = make("coverage", failing)
    assert status == 2 and called == make("coverage")[1] and called[-1].startswith("lnsmadam coverage --records")
