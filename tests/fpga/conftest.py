"""A cache of synthesis steps that lasts for one test run, and stand-ins for the tools."""

import os
import stat
import subprocess

import pytest

from lnsmadam.fpga import tools


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Shared by tests that only read what a real run gives."""
    return tmp_path_factory.mktemp("synth")


@pytest.fixture
def fake_tool(tmp_path, monkeypatch):
    """Puts a shell script in a tool's place; it still tells the real tool's version."""

    def install(name, body):
        real = tools.find(name)
        path = tmp_path / f"fake-{name}"
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then exec "{real}" --version; fi\n{body}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv(tools.variable(name), str(path))
        return path

    return install


@pytest.fixture
def is_running():
    """Whether a process does anything; one whose parent has died may wait, dead, for its new one."""

    def ask(pid):
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
        return bool(state.strip()) and not state.startswith("Z")

    return ask


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch):
    """The tests measure with the environment's tools, whatever the developer has set."""
    for name in tools.PACKAGES:
        if tools.variable(name) in os.environ:
            monkeypatch.delenv(tools.variable(name))
