import pytest

from lnsmadam import bench, peers


def test_golden_is_faster_than_asked():
    # The target is 15 000 on a core of one's own.
    assert peers.golden_rate("FX") > 3000


def test_scikit_learn_is_measured():
    assert peers.scikit_learn_rate(20) > 1


def interpreter(tmp_path, last_words):
    """A file that fails like an interpreter whose last line is this."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\necho "{last_words}" >&2\nexit 1\n')
    path.chmod(0o755)
    return str(path)


def test_absent_torch_is_no_error(tmp_path):
    assert peers.torch_rate(interpreter(tmp_path, "ModuleNotFoundError: No module named 'torch'")) is None


def test_broken_torch_is_one(tmp_path):
    with pytest.raises(ValueError, match="cannot be measured: ImportError: libtorch"):
        peers.torch_rate(interpreter(tmp_path, "ImportError: libtorch is broken"))


def test_row_of_the_bench():
    row = bench._network_speed({"golden network, FO": 20000.0, "scikit-learn": 100.0, "PyTorch Adam()": None})
    assert row[2:4] == ("**20,000 samples/s** (scikit-learn: 100; PyTorch Adam() is not installed)", "met")
    assert bench._network_speed({"golden network, FO": 14000.0})[3] == "not met"
