"""Any command line: an exit status, at most one line of error, and a folder that is as before or whole.

Arguments are made from what the commands say of themselves, so a new command or option is searched as well. What
takes minutes (simulators, synthesis, trainings, boards) stands still at the first tool or the first sample.
"""

import contextlib
import gc
import io
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from unittest import mock

import click
import pytest
from amaranth.hdl import Fragment, Module
from hypothesis import strategies as st
from properties import property_of

from lnsmadam import board_sim, train
from lnsmadam.cli import main as command_line
from lnsmadam.cli.options import FixedFormatType, FloatFormatType, LNSFormatType
from lnsmadam.cli.trainer import Sizes
from lnsmadam.fpga import build as fpga_build
from lnsmadam.fpga import tools as fpga_tools
from lnsmadam.golden.format import PRESETS
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.sim import build as sim_build
from lnsmadam.train import Live, Result

#: What no option means: wrong types, huge and negative numbers, other alphabets, nothing at all.
JUNK = (
    "", " ", "-", "--", "---", "-1", "0", "1", "2", "nan", "inf", "-inf", "1e400", "1e-400", "0x10", "1_0", "٣", "½", "é",  # noqa: E501
    "\x00", "a\x00b", "\n", "a\nb", "\udcff", "\u202e", "True", "None", ":", "::", "1:", ":1", "1:2:3", "-1:-1", "levels:",  # noqa: E501
    "levels:2", "levels:0:0", "levels:-3:2", "levels:26:nan", "levels:26:inf", "levels:26:1", "levels:2:1.0000000000000002",  # noqa: E501
    "9" * 25, "-" + "9" * 25, "9" * 400, "9" * 5000, f"{'9' * 400}:8", f"8:{'9' * 400}", f"levels:{'9' * 400}:60",
    "lns8 ", "LNS8", "lns", "--format", "--help=1", "-x", "@file", "*", "$HOME", "%s", "{0}", "[bold]", "[/]", "\x1b[31m",  # noqa: E501
)  # fmt: skip

FORMATS = [*PRESETS, "levels:26:60", "7:3.7", "4:1", "8:8", "12:128", "5:0.3", "24:4096", "3:1", "25:1", "8:0", "8:-1"]
FIXED = ["24:8", "12:4", "2:0", "62:0", "63:0", "1:0", "8:-3", "8:100", "8:100000", "20:9223372036854775808"]
FLOATS = ["bfloat16", "float16", "8:10", "2:1", "1:1", "9:1", "8:24", "3:4"]
SIZES = ["64-32-10", "4-3", "4", "1-2", "4-3-2-2-2-2", "0-1", "-", "2--2", "5000-3", "16-10", f"2-{'9' * 30}"]
INTEGERS = st.one_of(
    st.integers(-3, 20), st.sampled_from([64, 65, 1024, 2**31, 2**32 - 1, 2**32, 2**63, 2**64, -(2**63) - 1, 10**30])
)  # fmt: skip


def flat(command, path=()):
    """Every command without subcommands, with the words that lead to it."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from flat(inner, (*path, name))
    else:
        yield path, command


COMMANDS = dict(flat(command_line.cli))

#: Commands whose own code runs, up to the first tool; of others only the options are read.
OWN = {"list", "generate", "simulate", "vectors", "synth", "energy", "train", "export", "build", "board-sim", "demo"}
OTHERS = [command for path, command in COMMANDS.items() if path[0] not in OWN]


def values(parameter):
    """Values of a parameter, of which most are right."""
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return st.sampled_from([str(getattr(choice, "value", choice)) for choice in kind.choices])
    if isinstance(kind, click.Path):
        return st.sampled_from(["{new}", "{new}", "{old}", "{file}", "{file}/x", "{readonly}", "{missing}/a/b", "{spaces} é",  # noqa: E501
                                "{link}", ".", "{long}"])  # fmt: skip
    table = {LNSFormatType: FORMATS, FixedFormatType: FIXED, FloatFormatType: FLOATS, Sizes: SIZES}
    for known, texts in table.items():
        if isinstance(kind, known):
            return st.sampled_from(texts)
    if isinstance(kind, click.types.IntParamType):
        return INTEGERS.map(str)
    if isinstance(kind, click.types.FloatParamType):
        return st.one_of(st.floats().map(str), st.sampled_from(["0.5", "1", "8", "100"]), INTEGERS.map(str))
    texts = [
        "1,2",
        "1",
        ",",
        "hx8k",
        "u85k",
        "icebreaker",
        "ulx3s",
        "icestick",
        "no-board",
        "{file}",
        "/dev/null",
        "multiply",
    ]
    return st.sampled_from(texts)


@st.composite
def command_lines(draw):
    first = draw(st.sampled_from(sorted({path[0] for path in COMMANDS})))
    path, command = draw(st.sampled_from([item for item in COMMANDS.items() if item[0][0] == first]))
    words, is_clean = list(path), draw(st.integers(0, 2)) > 0
    for parameter in draw(st.lists(st.sampled_from(command.params), max_size=5)) if command.params else ():
        right = values(parameter)
        value = draw(right if is_clean else st.one_of(right, right, st.sampled_from(JUNK), st.text(max_size=6)))
        if isinstance(parameter, click.Argument):
            words.append(value)
            continue
        flag = draw(st.sampled_from([*parameter.opts, *parameter.secondary_opts]))
        if parameter.is_flag:
            words.append(flag)
        elif flag.startswith("--") and draw(st.booleans()):
            words.append(f"{flag}={value}")
        else:
            words += [flag, value]
    # Now and then a word is lost, doubled, or another.
    fault = draw(st.integers(0, 5))
    if fault < 3 and not is_clean and words:
        place = draw(st.integers(0, len(words) - 1))
        words[place : place + 1] = [[], [words[place]] * 2, [draw(st.sampled_from(JUNK))]][fault]
    return words


class Folder:
    """A folder with something of everything, in which one command runs."""

    def __init__(self, root):
        self.root = root
        self.places = {name: str(root / name) for name in ("new", "old", "file", "readonly", "missing", "link")}
        self.places |= {"spaces": str(root / "with space"), "long": str(root / ("x" * 300))}
        (root / "old").mkdir()
        (root / "old" / "keep.txt").write_text("kept")
        (root / "file").write_text("kept")
        (root / "link").symlink_to(root / "nowhere")
        (root / "readonly").mkdir()
        (root / "readonly").chmod(stat.S_IRUSR | stat.S_IXUSR)

    def filled(self, words):
        for name, place in self.places.items():
            words = [word.replace("{" + name + "}", place) for word in words]
        return words

    def content(self):
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }


def _no_tool(*_, **__):
    raise ToolFailed("Tool failed with status 1: as this test wants\nand more of its words")


def _no_training(plan, *_, **__):
    for epoch in list(plan.numbers()[:2]):
        yield Result(Live(epoch + 1, 5, 5, 0.5, 0.5, 1.0), 0.5, plan.state, 7)


@contextlib.contextmanager
def without_tools():
    """Nothing outside of this process runs, and nothing trains."""
    with contextlib.ExitStack() as stack:
        for module, name, stand_in in (
            (sim_build, "cached", _no_tool), (fpga_tools, "run_all", _no_tool), (fpga_tools, "find", _no_tool),
            (fpga_tools, "version", _no_tool), (fpga_build, "make_bitstream", _no_tool),
            (board_sim, "simulated_board", _no_tool), (command_line, "run_demo", _no_tool),
            (train, "train_on_golden", _no_training), (train, "train_on_rtl", _no_training),
        ):  # fmt: skip
            stack.enter_context(mock.patch.object(module, name, stand_in))
        for command in OTHERS:
            stack.enter_context(mock.patch.object(command, "callback", lambda **_: 0))
        yield


def run(words, folder):
    """Exit status, standard output and error of a command line, run in a folder."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors) for errors in ("strict", "backslashreplace")]
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            status = command_line.main(words)
    finally:
        os.chdir(before)
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return status, *texts


def check(words):
    """One command line; returns its status."""
    root = Path(tempfile.mkdtemp())
    try:
        folder = Folder(root)
        before = folder.content()
        with without_tools():
            status, out, errors = run(folder.filled(words), root)
        assert status in (0, 1, 2, 130), status
        assert "Traceback" not in out + errors, errors
        if status == 2:
            lines = errors.splitlines()
            helps = errors.startswith("Usage: ")
            assert helps or (len(lines) == 1 and lines[0].startswith("lnsmadam: ")), errors
            assert folder.content() == before
        else:
            assert status or not errors, errors
            check_written(folder, before, out)
        assert not [name for name in folder.content() if "/." in f"/{name}"], "a temporary file is left"
        return status
    finally:
        (root / "readonly").chmod(stat.S_IRWXU)
        shutil.rmtree(root)


def check_written(folder, before, out):
    """What a command wrote agrees with itself; what was there is there."""
    after = folder.content()
    printed = out.splitlines()
    for name in set(after) - set(before):
        path = folder.root / name
        assert path.stat().st_size, f"{name} is empty"
        assert any(name in line or path.name in line for line in printed) or "keep" not in name
        if path.suffix == ".json" and path.with_suffix(".v").exists():
            manifest, verilog = json.loads(path.read_text()), path.with_suffix(".v").read_text()
            assert manifest["verilog"] == path.with_suffix(".v").name
            assert verilog.startswith(f"// lnsmadam {manifest['unit']}: {json.dumps(manifest['parameters'])}\n")
            assert f"module {manifest['top']}(" in verilog
        elif path.suffix == ".v":
            assert path.with_suffix(".json").exists() or path.stem.endswith("_tb"), f"{name} without its manifest"


@pytest.mark.parametrize(
    "line",
    [
        "build --board icebreaker --design units --baud 7 -o {new}",
        "build --board icebreaker --design units --baud 7000001 -o {new}",
        "build --board ulx3s --lanes 3 --capacity 5 -o {new}",
    ],
)
def test_a_build_that_is_refused_leaves_no_design_behind(line):
    # Amaranth warns of each part that nothing builds, when it is forgotten and something has been built before; as
    # other warnings, that fails a test.
    Fragment.get(Module(), None)
    assert check(line.split()) == 2
    gc.collect()


def command_lines_end(words):
    check(words)


test_command_lines, test_many_command_lines = property_of("command_lines", words=command_lines())(command_lines_end)
