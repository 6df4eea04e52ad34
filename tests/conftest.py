"""What all tests share: one lasting cache of builds."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def build_cache():
    """Compiled simulations and synthesis steps, kept by content under ``build/cache``: a second run is quick.

    ``LNSMADAM_CACHE`` moves it; a test that counts builds sets the variable to a folder of its own.
    """
    if "LNSMADAM_CACHE" not in os.environ:
        os.environ["LNSMADAM_CACHE"] = str(Path(__file__).parents[1] / "build" / "cache")
    return Path(os.environ["LNSMADAM_CACHE"])
