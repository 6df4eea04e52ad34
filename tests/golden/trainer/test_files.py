"""Files of networks: they come back whole, go on learning as if never stopped, and others are refused in one line."""

import json
import os
import zipfile

import numpy as np
import pytest

from lnsmadam.golden.trainer import Network, NetworkState, initial, network_preset
from lnsmadam.golden.trainer.files import _checksum, export_floats, export_logs, float_weights, load, load_run, save
from lnsmadam.golden.trainer.kernel import CompiledNetwork


@pytest.fixture(params=["FO", "FV exact, nearest", "FX stochastic, gate"])
def config(request, configs):
    """Each place of the second moment."""
    return configs[request.param]


@pytest.fixture
def saved(tmp_path, config, first_state):
    save(tmp_path / "net.npz", config, first_state)
    return tmp_path / "net.npz"


def refuse(path, message, expected=None):
    with pytest.raises(ValueError, match=message) as caught:
        load(path, expected)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def rewrite(path, change, checksum=True):
    """The file after ``change(header, arrays)``, with a checksum that fits."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays.pop("header").tobytes())
    header, arrays = change(header, arrays) or (header, arrays)
    if checksum and isinstance(header, dict):
        header["checksum"] = _checksum(header, arrays)
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)


def test_comes_back(saved, config, first_state):
    for expected in (None, config):
        again, state = load(saved, expected)
        assert again == config and state.equal(first_state)
    assert os.listdir(saved.parent) == ["net.npz"]


@pytest.mark.parametrize("kind", [Network, CompiledNetwork])
def test_goes_on_as_if_never_stopped(tmp_path, config, make_samples, kind):
    words, labels = make_samples(config, np.random.default_rng(20), 60)
    whole, first = kind(config, initial(config, 1)), kind(config, initial(config, 1))
    for part in np.split(np.arange(60), 3):
        whole.train(words[part], labels[part], 1)
        first.train(words[part], labels[part], 1)
        save(tmp_path / "net.npz", config, first.state)
        first = kind(*load(tmp_path / "net.npz"))
    assert whole.state.differences(first.state) is None
    assert not whole.state.equal(initial(config, 1))


def test_what_a_run_wants_to_know(saved, config, first_state):
    assert load_run(saved) == {}
    save(saved, config, first_state, {"epoch": 3, "seed": 7})
    assert load_run(saved) == {"epoch": 3, "seed": 7} and load(saved)[1].equal(first_state)
    rewrite(saved, lambda header, arrays: header["run"].update(epoch=4), checksum=False)
    with pytest.raises(ValueError, match="damaged: its checksum"):
        load_run(saved)
    rewrite(saved, lambda header, arrays: header.update(run=[1]))
    assert load_run(saved) == {}


def test_a_cut_file(saved):
    data = saved.read_bytes()
    for length in [*range(0, len(data), 101), len(data) - 1]:
        saved.write_bytes(data[:length])
        refuse(saved, "not the file of a network|damaged")


def test_every_flipped_byte(saved, config, first_state):
    """Read as it was (a byte that means nothing, such as a date), or refused."""
    data = saved.read_bytes()
    refused = 0
    for place in range(0, len(data), 3):
        saved.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            again, state = load(saved)
        except ValueError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            assert again == config and state.equal(first_state)
    assert refused > len(data) // 3 * 0.6


def test_noise_is_refused(tmp_path):
    rng = np.random.default_rng(21)
    for size in (0, 1, 22, 1000):
        (tmp_path / "noise").write_bytes(rng.bytes(size))
        refuse(tmp_path / "noise", "is not the file of a network, or is cut short")
    (tmp_path / "noise").write_bytes(b"PK\x03\x04" + rng.bytes(1000))
    refuse(tmp_path / "noise", "is not the file of a network")


def test_other_archives(tmp_path, saved):
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    refuse(tmp_path / "a.npz", "no header")
    np.savez(tmp_path / "a.npz", header=np.zeros(3))
    refuse(tmp_path / "a.npz", "its header is none")
    np.savez(tmp_path / "a.npz", header=np.frombuffer(b"{", np.uint8))
    refuse(tmp_path / "a.npz", "damaged")
    np.savez(tmp_path / "a.npz", header=np.frombuffer(b"[" * 100_000, np.uint8))
    refuse(tmp_path / "a.npz", "not the file of a network")
    np.savez(tmp_path / "a.npz", header=np.frombuffer(b"[1]", np.uint8))
    refuse(tmp_path / "a.npz", "not the file of a network")
    np.savez(tmp_path / "a.npz", header=np.frombuffer(b"{}", np.uint8))
    refuse(tmp_path / "a.npz", "is not the file of a network")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("header", "{}")
    refuse(tmp_path / "a.npz", "not the file of a network")
    np.save(tmp_path / "a.npy", np.zeros(3))
    refuse(tmp_path / "a.npy", "not the file of a network")
    refuse(tmp_path, "Cannot read")
    refuse(tmp_path / "missing.npz", "Cannot read .*: No such file")


def test_objects_are_not_unpickled(saved):
    """An array of objects could run any program when it is read."""
    with np.load(saved) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(saved, **(arrays | {"weights_0": np.array([{"a": 1}, print], dtype=object)}))
    refuse(saved, "Object arrays cannot be loaded")
    np.savez(saved, **(arrays | {"header": np.array([print], dtype=object)}))
    refuse(saved, "Object arrays cannot be loaded")


def test_an_archive_that_would_fill_the_memory(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", header=np.zeros(1 << 27, np.uint8), weights_0=np.zeros(9))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 18
    refuse(tmp_path / "a.npz", "its arrays are too large")


def test_contents_of_another_program(saved, config):
    """With checksums that fit: the reasons are the contents'."""
    data = saved.read_bytes()

    def case(message, change, checksum=True):
        saved.write_bytes(data)
        rewrite(saved, change, checksum)
        refuse(saved, message)

    def set_header(key, value):
        return lambda header, arrays: header.__setitem__(key, value)

    case("is not the file of a network", set_header("kind", "other"))
    case("has version 2, this program reads 1", set_header("version", 2))
    case("is damaged: its checksum does not match", set_header("digest", "0"), checksum=False)
    case("is damaged: its checksum", lambda h, a: a.update(weights_0=a["weights_0"] ^ 1), checksum=False)
    case("another network than its digest", set_header("digest", "0"))
    case("describes no network", set_header("network", None))
    case("describes no network", set_header("state", [1]))
    case("describes no network", set_header("state", {"update_count": 1}))
    case("describes no network: Description", set_header("network", {}))
    case("describes no network: Network must have 1 to 4", lambda h, a: h["network"].update(sizes=[1]))
    case("describes no network: Width must be", lambda h, a: h["network"]["weight"].update(width=99))
    case("another network than its digest", lambda h, a: h["network"].update(lr=config.lr - 1))
    case("update_count must be an integer", lambda h, a: h["state"].update(update_count="x"))
    case("input_noise must be an integer in", lambda h, a: h["state"].update(input_noise=0))
    case("has the arrays", lambda h, a: a.update(more=np.zeros(1, np.int64)))
    case("has the arrays", lambda h, a: (h, {k: v for k, v in a.items() if k != "weights_0"}))
    case("weights must be in 0", lambda h, a: a.update(weights_0=a["weights_0"] - (1 << 40)))
    case("weights must have shapes", lambda h, a: a.update(weights_0=a["weights_0"].T))
    case("its arrays are not of int64", lambda h, a: a.update(weights_0=a["weights_0"].astype(np.int32)))
    case("is not the file of a network", lambda h, a: ([1], a))


@pytest.mark.parametrize(
    "changes, reason",
    [({"sizes": (64, 16, 10)}, r"sizes \[64, 32, 10\], not \[64, 16, 10\]"), ({"lr": -5}, "lr -6, not -5"),
     ({"second_moment": "none"}, "second moment factored, not none")],
)  # fmt: skip
def test_another_network_than_expected(tmp_path, changes, reason):
    config = network_preset("FO")
    save(tmp_path / "net.npz", config, initial(config, 0))
    refuse(tmp_path / "net.npz", f"has another network: {reason}", network_preset("FO", **changes))


def test_what_cannot_be_written(tmp_path, config, first_state, monkeypatch):
    with pytest.raises(ValueError, match="Cannot write .*: No such file or directory"):
        save(tmp_path / "nowhere" / "net.npz", config, first_state)
    with pytest.raises(ValueError, match="State's weights must have shapes"):
        save(tmp_path / "net.npz", config, NetworkState([]))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="Cannot write .*folder"):
        save(tmp_path / "folder", config, first_state)
    assert os.listdir(tmp_path) == ["folder"]


def test_a_disk_that_fills_leaves_the_old_file(saved, config, first_state, monkeypatch):
    before = saved.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match="Cannot write .*: No space left on device"):
        save(saved, config, initial(config, 9))
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["net.npz"]


def test_exports(tmp_path, config, first_state):
    """Codes and floats of one state say the same numbers, and leave out nothing."""
    export_logs(tmp_path / "logs.npz", config, first_state)
    export_floats(tmp_path / "floats.npz", config, first_state)
    with np.load(tmp_path / "logs.npz") as logs, np.load(tmp_path / "floats.npz") as floats:
        assert len(logs.files) == 2 + 3 * config.layers and len(floats.files) == 2 * config.layers
        for layer, words in enumerate(first_state.weights):
            log, top = logs[f"log_{layer}"].astype(float), int(logs[f"top_{layer}"])
            sign = 1 - 2.0 * logs[f"sign_{layer}"]
            reals = sign * 2 ** ((log - int(logs["log_max"])) / int(logs["base_factor"]) + top)
            matrix = np.column_stack([floats[f"weight_{layer}"], floats[f"bias_{layer}"]])
            assert matrix.dtype == np.float32 and matrix.shape == words.shape
            assert (matrix == reals.astype(np.float32)).all()
            assert (matrix == float_weights(config, first_state)[layer]).all()


def test_exported_floats_classify_alike(tmp_path, make_samples):
    """The digits' network in float32 and in LNS words agree on most samples."""
    config = network_preset("FO", (64, 32, 10))
    words, labels = make_samples(config, np.random.default_rng(22), 400)
    model = CompiledNetwork(config, initial(config, 0))
    model.train(words, labels)
    a = config.activation.decode(words) * 2.0 ** (-config.activation.log_max / config.activation.base_factor)
    for layer, matrix in enumerate(float_weights(config, model.state)):
        z = a @ matrix[:, :-1].T + matrix[:, -1]
        a = np.maximum(z, 0) if layer < config.layers - 1 else z
    assert np.mean(a.argmax(axis=1) == model.predict(words)) > 0.8
