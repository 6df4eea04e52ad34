"""Cache of builds, and how the tools are found."""

import dataclasses
import errno
import shutil
import threading
import uuid
from pathlib import Path

import pytest

from lnsmadam.hw.toolchain import MissingTool, ToolFailed, find_tool
from lnsmadam.sim import build, tools
from lnsmadam.sim.batch import BatchUnit, compare
from lnsmadam.sim.build import build_simulation, cached, content_key
from lnsmadam.sim.stimulus import stimulus
from lnsmadam.sim.tools import Tool


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LNSMADAM_CACHE", str(folder))
    return folder / "verilator"


def test_the_same_content_is_made_once(cache):
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "text").write_text("whole")

    first, second = cached("kind", ["a", "b"], make), cached("kind", ["a", "b"], make)
    other = cached("kind", ["ab"], make)
    assert first == second != other
    assert first.parent == cache and (first / "text").read_text() == "whole"
    assert len(made) == 2
    assert content_key(["a", "bc"]) != content_key(["ab", "c"])


def test_an_interrupted_build_leaves_nothing(cache):
    def interrupted(folder: Path) -> None:
        (folder / "text").write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("kind", ["a"], interrupted)
    assert list(cache.iterdir()) == []
    assert (cached("kind", ["a"], lambda folder: (folder / "text").write_text("whole")) / "text").exists()


def test_a_killed_build_is_swept_away_later(cache, monkeypatch):
    (cache / ".partial-killed").mkdir(parents=True)
    cached("kind", ["a"], lambda folder: None)
    assert (cache / ".partial-killed").exists(), "a build that may still run was removed"
    monkeypatch.setattr(build, "_ABANDONED_SECONDS", -1.0)
    cached("kind", ["b"], lambda folder: None)
    assert not (cache / ".partial-killed").exists()


def test_two_builders_at_once_get_one_whole_entry(cache):
    together, entries = threading.Barrier(2, timeout=30), []

    def make(folder: Path) -> None:
        (folder / "text").write_text("whole")
        together.wait()  # both are past the look into the cache

    threads = [threading.Thread(target=lambda: entries.append(cached("kind", ["a"], make))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(entries) == 2 and entries[0] == entries[1]
    assert [item.name for item in cache.iterdir()] == [entries[0].name]
    assert (entries[0] / "text").read_text() == "whole"


def test_a_unit_is_compiled_once(multiplier_of, monkeypatch):
    unit = multiplier_of()
    BatchUnit(unit.emitted).close()

    def run(self: Tool, *arguments: str, **options: object) -> str:
        raise AssertionError(f"{self.path} was started again")

    monkeypatch.setattr(Tool, "run", run)
    BatchUnit(unit.emitted).close()
    with pytest.raises(AssertionError, match="started again"):
        BatchUnit(dataclasses.replace(unit.emitted, verilog=unit.emitted.verilog + "// another\n"))


@pytest.mark.parametrize(
    "flags",
    [("-O3",), ("-O1", "-DCOVERAGE"), ("-O1", "-DVM_TRACE=0", "-DVM_TRACE_FST=0", "-DVM_TRACE_SAIF=0")],
    ids=lambda flags: " ".join(flags),
)
def test_the_header_is_read_as_it_was_compiled(flags, monkeypatch):
    """Else every build would be a second longer, and nobody be told."""
    if "Free Software Foundation" not in tools.compiler().identity:
        pytest.skip("another compiler has other words for it")
    told, run = [], Tool.run

    def telling(self, *arguments, **options):
        told.append(text := run(self, *arguments, *(["-H"] if "-include" in arguments else []), **options))
        return text

    monkeypatch.setattr(Tool, "run", telling)
    top = f"module top(input a, output b); assign b = a; endmodule  // {uuid.uuid4()}"
    options = {"compile_flags": flags, "link_flags": ("-shared",), "output": "top.so"}
    shutil.rmtree(build_simulation("once", {"top.v": top}, "top", **options).parent)
    (used,) = [line for line in told[-1].splitlines() if line.endswith(".gch")]
    assert used.startswith("! ")  # gcc's mark of one that it took; it puts an x where it did not.


@pytest.mark.parametrize("why", ["another compiler", "no room"])
def test_without_the_header_it_takes_longer_and_nothing_else(why, cache, multiplier_of, monkeypatch):
    compiler, run, seen = tools.compiler(), Tool.run, []
    if why == "another compiler":
        monkeypatch.setattr(build, "compiler", lambda: dataclasses.replace(compiler, identity="clang version 14"))

    def running(self, *arguments, **options):
        seen.append(arguments)
        if "c++-header" in arguments:
            raise OSError(errno.ENOSPC, "No space left on device")
        return run(self, *arguments, **options)

    monkeypatch.setattr(Tool, "run", running)
    unit = multiplier_of()
    assert compare(unit.emitted, unit.model, stimulus(unit.config, seed=1, count=100)).passed
    assert any("c++-header" in arguments for arguments in seen) == (why == "no room")
    assert not any("-include" in arguments for arguments in seen)
    assert not list(cache.glob("header-*"))


def test_verilog_that_does_not_compile_is_reported(multiplier_of, cache):
    unit = multiplier_of()
    broken = dataclasses.replace(unit.emitted, verilog=unit.emitted.verilog.replace("endmodule", "endmodul"))
    with pytest.raises(ToolFailed, match="verilator failed"):
        BatchUnit(broken)
    assert list(cache.iterdir()) == []


def _program(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_tools_are_found_in_order(tmp_path, monkeypatch):
    chosen = _program(tmp_path / "chosen", "other")
    bundled, on_path = _program(tmp_path / "bundled", "tool"), _program(tmp_path / "path", "tool")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("TOOL", str(chosen))
    assert find_tool("tool", "TOOL", "package", (bundled,)) == str(chosen)
    monkeypatch.delenv("TOOL")
    assert find_tool("tool", "TOOL", "package", (bundled,)) == str(bundled)
    assert find_tool("tool", "TOOL", "package") == str(on_path)


def test_a_missing_tool_names_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingTool, match="^tool was not found: parcel brings it, or set TOOL to its path$"):
        find_tool("tool", "TOOL", "parcel")
    monkeypatch.setenv("TOOL", "/nowhere/tool")
    with pytest.raises(MissingTool, match="^TOOL names '/nowhere/tool', which is not a program that can run$"):
        find_tool("tool", "TOOL", "parcel")


def test_a_missing_compiler_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingTool, match="^g\\+\\+ was not found"):
        tools.compiler()
    with pytest.raises(MissingTool, match="^perl was not found"):
        tools.verilator()


def test_an_entry_that_cannot_be_put_in_its_place_is_an_error(cache, monkeypatch):
    def full(path, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        cached("text", ["full"], lambda folder: (folder / "x").write_text("x"))
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_tool_that_does_not_end_is_stopped():
    with pytest.raises(ToolFailed, match=r"sleep did not end within 0\.1 s"):
        Tool("/bin/sleep").run("30", timeout=0.1)


def test_a_compiler_that_is_named_must_be_there(tmp_path, monkeypatch):
    # `c++` stands in for `g++`, but not for what CXX names.
    other = tmp_path / "c++"
    other.write_text("#!/bin/sh\necho other 1.0\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert tools.compiler().path == str(other) and tools.compiler().identity == "other 1.0\n"
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MissingTool, match="no-such-compiler"):
        tools.compiler()


def test_a_model_is_freed_once(multiplier_of, monkeypatch):
    unit, called = BatchUnit(multiplier_of(2).emitted), []
    call = unit.call
    monkeypatch.setattr(unit, "call", lambda name, *arguments: (called.append(name), call(name, *arguments)))
    with unit:
        unit.close()
    assert called == ["delete"]
