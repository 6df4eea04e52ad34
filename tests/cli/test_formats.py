"""docs/formats.md is what the registry gives, and says what is known about some units."""

import subprocess
import sys
from pathlib import Path

import pytest

from lnsmadam.formats import FORMATS, PATH, cell, markdown
from lnsmadam.golden.format import LNS8, LNS16, LNSFormat
from lnsmadam.units import UNITS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def text():
    return markdown()


def test_the_committed_table_is_true(text):
    committed = (ROOT / PATH).read_text(encoding="utf-8")
    assert text == committed, "run: python -m lnsmadam.formats"


def test_every_unit_and_format_is_there(text):
    for name in UNITS:
        assert f"`{name}`" in text
    for name in FORMATS:
        assert f"| `{name}` |" in text


@pytest.mark.parametrize(("unit", "fmt", "want", "reason"), [
    ("multiply", LNS16, "exact", None),
    ("sqrt", LNS8, "nearest", None),
    ("multiply_add", LNS8, "nearest", None),
    ("multiply_add", LNSFormat(16, 100), "nearest", None),
    ("multiply_add", LNSFormat(16, 1000), "model, nearest",
     "Hardware takes tables of up to 4096 entries; segments need a power of two from 4 to 2048"),
    ("linear_to_log", LNSFormat(8, 3.7), "no", "Base factor must be a power of two from 1 to 64 to convert 8 bits"),
])  # fmt: skip
def test_cells(unit, fmt, want, reason):
    assert cell(UNITS[unit], fmt) == (want, reason)


def test_faithful_cells_round_up():
    text, _ = cell(UNITS["add"], LNS16)
    kind, figure = text.split()
    error = UNITS["add"].configure({"accumulator": LNS16}).guarantee()["max_error_ulp"]
    assert kind == "faithful" and error <= float(figure) < error + 0.0101


def test_command_writes_the_file(tmp_path, text):
    subprocess.run([sys.executable, "-m", "lnsmadam.formats"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / PATH).read_text(encoding="utf-8") == text
