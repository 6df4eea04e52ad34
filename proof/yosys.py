"""Runs Yosys on files of a folder."""

from pathlib import Path

from lnsmadam.fpga import tools
from lnsmadam.hw.toolchain import ToolFailed

#: Simplifies a circuit of which it is not said what its registers begin with. They stay: one that takes only its own
#: value would become an x, which is whatever makes a claim true.
SIMPLIFY = "opt -full -noff"


def yosys(folder: Path, *commands: str, timeout: float | None = None) -> str:
    """Runs commands in a folder, whose files they call by their names there; returns what it logged.

    Raises
    ------
    MissingTool, ToolFailed
        It is not there, a command failed, or they took more than ``timeout`` seconds.
    """
    (folder / "script.ys").write_text("\n".join(commands) + "\n", encoding="utf-8")
    # The packaged Yosys has a /tmp of its own, and its standard output ends where its ABC begins; its log does not.
    command = (tools.find("yosys"), "-q", "-l", "yosys.txt", "script.ys")
    try:
        tools.run_all([tools.Job("Yosys", command, folder, folder / "log.txt", timeout=timeout)])
    except ToolFailed as error:
        if "timeout" not in str(error) and (folder / "yosys.txt").exists():
            raise ToolFailed(f"Yosys failed: {tools.last_error(folder / 'yosys.txt')}") from None
        raise
    return (folder / "yosys.txt").read_text(encoding="utf-8", errors="replace")
