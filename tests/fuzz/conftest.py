"""Makes the strategies of this folder importable by its tests, and leaves records of the searches.

If the environment variable ``LNSMADAM_RECORDS`` names a folder, each property that ran has there a record for the
verification page. All tests of a property stand in one file, which pytest-xdist gives to one process
(``--dist loadfile``).
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from properties import COUNTS, PROPERTIES, Count

from lnsmadam.proof.records import Kind, Record, save


def pytest_runtest_makereport(item, call):
    name = getattr(getattr(item, "function", None), "property_name", None)
    if name is not None and call.when == "call":
        count = COUNTS.setdefault(name, Count())
        count.seconds += call.duration
        count.failed += call.excinfo is not None


def pytest_sessionfinish(exitstatus):
    # An interrupted search says nothing.
    folder = os.environ.get("LNSMADAM_RECORDS")
    if not folder or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return
    for name, count in COUNTS.items():
        found = f"{count.failed} searches found a fault" if count.failed else "none fails"
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
