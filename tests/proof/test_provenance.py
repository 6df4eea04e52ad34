"""The source's digest: it changes with what evidence is of, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from lnsmadam.hw.toolchain import MissingTool
from lnsmadam.proof import provenance
from lnsmadam.proof.provenance import FOLDERS, digest, source_digest, tool_version

ROOT = Path(provenance.__file__).parents[1]


@pytest.fixture
def copy(tmp_path):
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def test_a_copy_has_the_same_and_what_is_not_source_does_not_count(copy):
    assert digest(copy) == source_digest() == digest(ROOT)
    (copy / "hw" / "__pycache__").mkdir(exist_ok=True)
    (copy / "hw" / "__pycache__" / "more.pyc").write_bytes(b"x")
    (copy / "docs").mkdir()
    (copy / "docs" / "more.py").write_text("x")
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert digest(copy) == source_digest()


@pytest.mark.parametrize(
    "name", ["golden/lns.py", "golden/trainer/network.py", "hw/lut_networks.json", "hw/madam_update.py"]
)
def test_a_change_is_another_source(name, copy):
    path = copy / name
    if not path.exists():
        path.write_text("")
        before = digest(copy)
    else:
        before = source_digest()
    path.write_bytes(path.read_bytes() + b"\n")
    assert digest(copy) != before
    path.rename(path.with_name(f"other{path.suffix}"))
    assert digest(copy) != before


def test_contents_that_change_places_are_another_source(copy):
    one, other = copy / "golden" / "one.py", copy / "golden" / "other.py"
    one.write_text("a = 1\n")
    other.write_text("b = 1\n")
    before = digest(copy)
    one.write_text("b = 1\n")
    other.write_text("a = 1\n")
    assert digest(copy) != before


def test_a_missing_tool_has_no_version(monkeypatch):
    def missing(name):
        raise MissingTool("nowhere")

    monkeypatch.setattr(provenance.tools, "version", missing)
    tool_version.cache_clear()
    assert tool_version("Yosys") == "unknown"
    tool_version.cache_clear()
