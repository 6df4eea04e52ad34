"""Files of networks, damaged in any way: refused in one line, or read as exactly what was saved."""

import errno
import io
import json
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import strategies as st
from json_values import JSON, places_of
from properties import property_of

from lnsmadam.cli.main import main
from lnsmadam.golden.trainer import files, initial, network_preset

CONFIGS = {name: network_preset(name, (3, 2, 2)) for name in ("FO", "FX", "FV")}
RUN = {"data": "digits", "seed": 3, "epochs": 9, "done": 4}


def saved(name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.npz")
        files.save(path, CONFIGS[name], initial(CONFIGS[name], 5), RUN)
        return path.read_bytes()


SAVED = {name: saved(name) for name in CONFIGS}
#: A folder that appears when a pickle is executed.
EVIL = Path(tempfile.gettempdir(), f"lnsmadam-evil-{os.getpid()}")


class Evil:
    """Its pickle tells on whoever reads it."""

    def __reduce__(self):
        return os.mkdir, (str(EVIL),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def read(folder, data):
    """What a file of these bytes holds, or nothing if it is refused; the refusal is one line that names it."""
    path = folder / "some.npz"
    path.write_bytes(data)
    try:
        outcome = files.load_all(path)
    except ValueError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        outcome = None
    assert not EVIL.exists(), "a pickle was executed"
    return outcome


def check(folder, name, data):
    """A file is refused, or it is the one that was saved; returns whether it was refused."""
    outcome = read(folder, data)
    if outcome is None:
        return True
    config, state, run = outcome
    assert config == CONFIGS[name] and state.equal(initial(config, 5)) and run == RUN
    return False


@st.composite
def damages(draw):
    """A preset's name and its file after some faults."""
    name = draw(st.sampled_from(list(SAVED)))
    data = bytearray(SAVED[name])
    for _ in range(draw(st.integers(1, 3))):
        place, kind = draw(st.integers(0, max(len(data) - 1, 0))), draw(st.integers(0, 6))
        some = draw(st.binary(min_size=1, max_size=8))
        if kind == 0:
            del data[place:]
        elif kind == 1 and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == 2:
            data[place : place + len(some)] = some
        elif kind == 3:
            data[place:place] = some
        elif kind == 4:
            del data[place : place + len(some)]
        elif kind == 5:
            data += some
        else:
            # Numbers of the archive: sizes, offsets, methods of packing, all of two or four bytes.
            place = data.find(b"PK", place)
            if place >= 0:
                at = place + draw(st.integers(4, 44))
                data[at : at + 4] = draw(
                    st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"\x01\0\0\0"])
                )
    return name, bytes(data)


def damaged_files(folder, damage):
    check(folder, *damage)


test_damage, test_much_damage = property_of("damaged_files", damage=damages())(damaged_files)


def members(name):
    with np.load(io.BytesIO(SAVED[name])) as archive:
        return {key: archive[key] for key in archive.files}


def rewritten_files(folder, data):
    """Content of another writer, whose checksum fits."""
    name = data.draw(st.sampled_from(list(SAVED)))
    arrays = members(name)
    header = json.loads(arrays.pop("header").tobytes())
    kind, fits = data.draw(st.integers(0, 8)), True
    key = data.draw(st.sampled_from(sorted(arrays)))
    if kind == 0:
        other = members(data.draw(st.sampled_from(list(SAVED))))
        header = json.loads(other["header"].tobytes())
    elif kind == 1:
        other = data.draw(st.sampled_from(sorted(arrays)))
        arrays[key], arrays[other] = arrays[other], arrays[key]
    elif kind == 2:
        del arrays[key]
    elif kind == 3:
        dtype = data.draw(st.sampled_from(["i4", "u8", "f8", ">i8", "c16", "U3", "datetime64[s]", "O", "V8", "?"]))
        arrays[key] = np.zeros(arrays[key].shape, dtype) if dtype == "U3" else arrays[key].astype(dtype)
        fits = dtype in ("i4", "u8", ">i8")
    elif kind == 4:
        shape = data.draw(st.sampled_from([(), (0,), (1, 0), (1, 1, 1), (-1,)]))
        arrays[key] = arrays[key].reshape(-1) if shape == (-1,) else np.zeros(shape, np.int64)
    elif kind == 5:
        array = arrays[key].copy()
        array.flat[data.draw(st.integers(0, array.size - 1))] = data.draw(
            st.sampled_from([-1, 1, 1 << 20, -(1 << 63), 512])
        )
        arrays[key] = array
    elif kind == 6:
        arrays[
            data.draw(st.sampled_from(["../up", "/tmp/abs", "weights_9", "weights_-1", "header.npy", "a/b", ""]))
        ] = arrays[key]
    else:
        path = data.draw(st.sampled_from([path for path in places_of(header) if path]))
        inner = header
        for step in path[:-1]:
            inner = inner[step]
        if kind == 7 or isinstance(inner, list):
            inner[path[-1]] = data.draw(JSON)
        else:
            del inner[path[-1]]
    text = {} if not isinstance(header, dict) else header
    if fits:
        with np.errstate(all="ignore"):
            text["checksum"] = files._checksum(text, arrays)
    packed = io.BytesIO()
    np.savez(packed, header=np.frombuffer(json.dumps(text).encode(), np.uint8), **arrays)
    outcome = read(folder, packed.getvalue())
    if outcome is not None:
        config, state, run = outcome
        # Another state of a network, with a checksum that fits, is somebody's file; it is whole.
        state.check(config)
        assert config.digest() == header["digest"] and isinstance(run, dict)
    assert not (folder.parent / "up.npy").exists() and not (folder.parent / "up").exists()


test_other_content, test_much_other_content = property_of("rewritten_files", data=st.data())(rewritten_files)


@pytest.mark.parametrize("name", SAVED)
def test_no_pickle_is_executed(folder, name):
    for place in ("header.npy", "weights_0.npy", "more.npy", "evil.pkl", "more"):
        packed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(SAVED[name])) as old, zipfile.ZipFile(packed, "w") as new:
            for entry in old.namelist():
                if entry != place:
                    new.writestr(entry, old.read(entry))
            if place.endswith(".npy"):
                array = io.BytesIO()
                np.save(array, np.array([Evil()], dtype=object), allow_pickle=True)
                new.writestr(place, array.getvalue())
            else:
                new.writestr(place, pickle.dumps(Evil()))
        assert read(folder, packed.getvalue()) is None
    pickled = pickle.dumps(Evil())
    assert read(folder, pickled) is None and read(folder, pickled + SAVED[name]) is None
    # The trap works.
    pickle.loads(pickled)
    assert EVIL.is_dir()
    EVIL.rmdir()


def test_declared_sizes_beyond_any_memory(folder):
    """An archive that unpacks to gigabytes, and an array whose header says so."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(1 << 28))
    assert len(packed.getvalue()) < 1 << 20 and read(folder, packed.getvalue()) is None
    for shape in ("(1099511627776,)", "(4611686018427387904, 8)", "(-1,)", "(99999999999999999999999,)"):
        text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
        packed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(SAVED["FO"])) as old, zipfile.ZipFile(packed, "w") as new:
            for entry in old.namelist():
                new.writestr(entry, array if entry == "weights_0.npy" else old.read(entry))
        assert read(folder, packed.getvalue()) is None
        # With the size of the whole archive a lie as well.
        raw = packed.getvalue()
        assert read(folder, raw.replace(len(array).to_bytes(4, "little"), b"\xff\xff\xff\x7f")) is None


class Killed(BaseException):
    """The process ends here."""


def interrupted_saves(folder, name, call, after, kind):
    """A save that ends in any of its calls to the system leaves the old file whole, and nothing beside it."""
    path = folder / "kept" / "net.npz"
    path.parent.mkdir(exist_ok=True)
    for old in path.parent.iterdir():
        old.unlink()
    path.write_bytes(SAVED[name])
    error = Killed() if kind is None else OSError(kind, os.strerror(kind))
    calls = []

    def fails(original):
        def function(*arguments, **options):
            calls.append(1)
            if len(calls) > after:
                raise error
            return original(*arguments, **options)

        return function

    with mock.patch.object(os, call, fails(getattr(os, call))):
        try:
            files.save(path, CONFIGS[name], initial(CONFIGS[name], 8), RUN)
        except ValueError as told:
            assert kind is not None and "\n" not in str(told) and "Cannot write" in str(told)
        except Killed:
            assert kind is None
        else:
            assert len(calls) <= after
            assert files.load(path)[1].equal(initial(CONFIGS[name], 8))
            return
    assert path.read_bytes() == SAVED[name]
    if kind is not None:
        assert [other.name for other in path.parent.iterdir()] == ["net.npz"]


test_interruption, test_many_interruptions = property_of(
    "interrupted_saves", name=st.sampled_from(list(SAVED)), call=st.sampled_from(["fsync", "chmod", "replace", "umask"]),  # noqa: E501
    after=st.integers(0, 1), kind=st.sampled_from([None, errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS]),
)(interrupted_saves)  # fmt: skip


def test_a_damaged_file_is_not_resumed(folder, capsys):
    path = folder / "resumed.npz"
    data = bytearray(SAVED["FO"])
    data[len(data) // 2] ^= 0x10
    for content in (bytes(data), SAVED["FO"][:-30], b"", pickle.dumps(Evil())):
        path.write_bytes(content)
        before = sorted(folder.iterdir())
        assert main(["train", "--resume", str(path), "--save", str(path)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith(f"lnsmadam: {path} is")
        assert path.read_bytes() == content and sorted(folder.iterdir()) == before
