"""Makes the strategies of this folder importable by its tests, and leaves records of the searches.

If the environment variable ``LNSMADAM_RECORDS`` names a folder, each property that ran has there a record for the
verification page: of all its tests together, in whichever of pytest-xdist's processes they ran.
"""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from properties import COUNTS, PROPERTIES

from lnsmadam.proof.records import Kind, Record, save

#: Of a session: False where counts of a process are lost.
_IS_WHOLE = pytest.StashKey[bool]()


def pytest_runtest_makereport(item, call):
    name = getattr(getattr(item, "function", None), "property_name", None)
    if name is not None and call.when == "call":
        COUNTS[name].add(0, int(call.excinfo is not None), call.duration)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """In the process that distributes: takes the counts of one that ran tests."""
    if error:
        node.config.stash[_IS_WHOLE] = False
    for name, counts in getattr(node, "workeroutput", {}).get("searches", {}).items():
        COUNTS[name].add(*counts)


def pytest_sessionfinish(session, exitstatus):
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["searches"] = {name: dataclasses.astuple(count) for name, count in COUNTS.items()}
        return
    # An interrupted search says nothing.
    folder = os.environ.get("LNSMADAM_RECORDS")
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if not folder or not ended or not config.stash.get(_IS_WHOLE, True):
        return
    for name, count in COUNTS.items():
        found = f"{count.failed or 'none'} fail{'s' * (count.failed < 2)}"
        record = Record(
            "python",
            Kind.FUZZ,
            PROPERTIES[name].claim,
            f"{count.examples:,} examples, {found}",
            not count.failed and count.examples > 0,
            "make fuzz",
            count.seconds,
            # One word for all of them in the summary.
            {"examples": count.examples, "short": found},
        )
        save(Path(folder), f"fuzz-{name}", [record])
