"""A subject's source: it has all that the subject is made of, and changes with nothing else."""

import inspect
import shutil
import sys
from pathlib import Path

import pytest

from lnsmadam.hw.toolchain import MissingTool
from lnsmadam.proof import provenance
from lnsmadam.proof.provenance import FOLDERS, digest, files_of, read_files, source_digest, tool_version
from lnsmadam.proof.records import Kind, Record, source_of
from lnsmadam.units import UNITS

ROOT = Path(provenance.__file__).parents[1]
FILES = read_files(ROOT)
#: What no circuit is made of: names for users, and how tools are found.
UNUSED = {"golden/__init__.py", "hw/__init__.py", "hw/toolchain.py"}


@pytest.fixture
def copy(tmp_path):
    for folder in (*FOLDERS, "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def digest_in(root, subject):
    files = read_files(root)
    return digest(files_of(subject, files), files)


def modules(thing, seen):
    """The golden and hardware modules that a running one has names from, by Python's own account."""
    module = sys.modules[thing] if isinstance(thing, str) else inspect.getmodule(thing)
    if module.__name__.startswith(("lnsmadam.golden.", "lnsmadam.hw.")) and module.__name__ not in seen:
        seen.add(module.__name__)
        for value in vars(module).values():
            if inspect.ismodule(value):
                modules(value.__name__, seen)
            elif (name := getattr(value, "__module__", None)) and name.startswith("lnsmadam."):
                modules(name, seen)
    return seen


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_has_all_that_the_registry_runs(name):
    unit = UNITS[name]
    seen = set()
    for thing in (unit.config, unit.golden, unit.component, unit.state_model, unit.directed):
        if thing is not None:
            modules(thing, seen)
    expected = {f"{module.removeprefix('lnsmadam.').replace('.', '/')}.py" for module in seen}
    assert len(expected) > 5 and expected <= set(files_of(name, FILES))


def test_everything_is_of_a_unit_or_of_the_trainer():
    used = {path for subject in (*UNITS, "trainer") for path in files_of(subject, FILES)}
    circuits = {path for path in FILES if path.startswith(("golden/", "hw/"))}
    assert circuits - used == UNUSED and files_of("python", FILES) == sorted(FILES)


def test_a_copy_has_the_same_and_what_is_not_source_does_not_count(copy):
    subjects = [*UNITS, "trainer", "frames", "uart", "python"]
    assert len({source_digest(subject) for subject in subjects}) == len(subjects)
    (copy / "hw" / "__pycache__").mkdir(exist_ok=True)
    (copy / "hw" / "__pycache__" / "more.pyc").write_bytes(b"x")
    (copy / "docs").mkdir()
    (copy / "docs" / "more.py").write_text("x")
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    for subject in subjects:
        assert digest_in(copy, subject) == source_digest(subject)


@pytest.mark.parametrize(
    "name, changed",
    [
        ("golden/dot.py", {"dot"}),
        ("golden/dot_operands.py", {"dot"}),
        ("golden/dot_config.py", {"dot", "trainer"}),
        ("golden/adam_update_operands.py", {"adam_update"}),
        ("hw/multiply.py", {"multiply"}),
        ("hw/lut_networks.json", {"multiply_add", "add"}),
        ("hw/emit.py", {*UNITS, "trainer", "frames", "uart"}),
        ("golden/trainer/state.py", {"trainer", "frames"}),
        ("hw/trainer/lane.py", {"trainer"}),
        ("fpga/trainer/frames.py", {"frames"}),
        ("fpga/uart.py", {"uart"}),
        ("sim/batch.py", set()),
        ("sim/batch.cpp", set()),
        ("proof/error/worst_error.py", set()),
        ("src/lnsmadam/console.py", set()),
        ("src/lnsmadam/cli/main.py", set()),
    ],
)
def test_a_change_is_of_those_that_have_it(name, changed, copy):
    path = copy / name
    path.write_bytes(path.read_bytes() + b"\n")
    subjects = [*UNITS, "trainer", "frames", "uart", "python"]
    assert {subject for subject in subjects if digest_in(copy, subject) != source_digest(subject)} == {
        *changed,
        "python",
    }


def test_a_new_import_and_a_new_name_are_another_source(copy):
    (copy / "golden" / "more.py").write_text("a = 1\n")
    assert digest_in(copy, "square") == source_digest("square")
    square = copy / "golden" / "square.py"
    square.write_text(square.read_text() + "from lnsmadam.golden import more\n")
    one = digest_in(copy, "square")
    (copy / "golden" / "more.py").write_text("a = 2\n")
    two = digest_in(copy, "square")
    assert len({source_digest("square"), one, two}) == 3


def test_a_wheel_has_the_same(copy, tmp_path_factory):
    """Where the folders are in the package, not beside it."""
    wheel = tmp_path_factory.mktemp("wheel") / "lnsmadam"
    shutil.copytree(copy / "src" / "lnsmadam", wheel)
    for folder in FOLDERS:
        shutil.copytree(copy / folder, wheel / folder)
    assert read_files(wheel) == FILES


@pytest.mark.parametrize("name", ["fpga/harness", "fpga/synth", "fpga/targets", "proof/gate_level"])
def test_how_a_netlist_is_made_is_of_netlists_alone(name, copy, monkeypatch):
    one = {kind: Record("add", kind, "", "", True, "", 0.0) for kind in (Kind.GATES, Kind.SAMPLED)}
    before = {kind: source_of(record) for kind, record in one.items()}
    path = copy / f"{name}.py"
    path.write_bytes(path.read_bytes() + b"\n")
    monkeypatch.setattr(provenance, "read_source", lambda: read_files(copy))
    source_digest.cache_clear()
    changed = {kind for kind, record in one.items() if source_of(record) != before[kind]}
    source_digest.cache_clear()
    assert changed == {Kind.GATES} and before[Kind.GATES] != before[Kind.SAMPLED]


def test_contents_that_change_places_are_another_source(copy):
    one, other = copy / "golden" / "trainer" / "one.py", copy / "golden" / "trainer" / "other.py"
    one.write_text("a = 1\n")
    other.write_text("b = 1\n")
    before = digest_in(copy, "trainer")
    one.write_text("b = 1\n")
    other.write_text("a = 1\n")
    assert digest_in(copy, "trainer") != before


def test_nobody_has_no_source():
    with pytest.raises(ValueError, match="There is no source of 'nobody'"):
        source_digest("nobody")


def test_a_missing_tool_has_no_version(monkeypatch):
    def missing(name):
        raise MissingTool("nowhere")

    monkeypatch.setattr(provenance.tools, "version", missing)
    tool_version.cache_clear()
    assert tool_version("Yosys") == "unknown"
    tool_version.cache_clear()
