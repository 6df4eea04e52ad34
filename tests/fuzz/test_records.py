"""What a run of searches leaves for the verification page: one record a property, of all processes together."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lnsmadam.proof.records import load

SEARCHES = """
import os
import pytest
from hypothesis import assume, strategies as st
from properties import PROPERTIES, property_of

PROPERTIES["payloads"] = PROPERTIES["payloads"]._replace(short=5, long=50)

def numbers(k, n):
    assume(n >= 10)
    {fault}

short, test_long = (
    pytest.mark.parametrize("k", range(4))(form) for form in property_of("payloads", n=st.integers(0, 10**6))(numbers)
)
"""
CLAIM = "a payload of any length is refused in one line or is what was sent"


@pytest.fixture
def search(tmp_path):
    """Runs four searches of one property, each with the fault; gives the records they leave and what pytest printed."""
    for name in ("conftest.py", "properties.py"):
        shutil.copy(Path(__file__).with_name(name), tmp_path)

    def run(fault, *arguments):
        (tmp_path / "test_searches.py").write_text(SEARCHES.format(fault=fault))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *arguments, str(tmp_path)],
            env={**os.environ, "LNSMADAM_RECORDS": str(tmp_path / "records")}, cwd=tmp_path, capture_output=True,
            text=True, timeout=300,
        )  # fmt: skip
        return load(tmp_path / "records"), done.stdout

    return run


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_what_all_processes_tried_is_one_record(search, processes):
    (record,), output = search("pass", *processes)
    assert record.claim == CLAIM and record.command == "make fuzz" and record.passed, output
    # Four tests of 50 examples; one that hypothesis gives besides may be excluded.
    assert record.result == "200 examples, none fails", output


def test_a_fault_in_one_process_is_told(search):
    (record,), output = search("assert k != 2 or n < 100", "-n", "2")
    assert not record.passed and record.result.endswith("examples, 1 fails"), output
    assert 150 <= record.details["examples"] < 200


def test_a_process_that_dies_leaves_no_record(search):
    records, output = search("k == 2 and os._exit(1)", "-n", "2")
    assert "crashed" in output and not records


def test_an_interrupted_search_leaves_no_record(search):
    records, output = search("if k == 2: raise KeyboardInterrupt")
    assert "KeyboardInterrupt" in output and not records
