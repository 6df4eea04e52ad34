"""A network in a file: its configuration, its weights and all it keeps, so that training goes on as if never stopped.

A file is an ``.npz`` archive without pickled objects: ``header``, the bytes of a JSON object, and the state's arrays.
The header has the version, the configuration and its digest, the state's numbers, and a checksum of all of it.
"""

import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.state import LISTS, NUMBERS, Integers, NetworkState, decode, expected_shapes

KIND, VERSION = "lnsmadam network", 1
# A larger file is none of ours: four layers of 1024 × 1025 weights and trackers take 64 MB before compression.
_MAX_BYTES = 1 << 27
_MAX_HEADER = 1 << 20


def _arrays(state: NetworkState) -> dict[str, Integers]:
    return {f"{name}_{layer}": array for name in LISTS for layer, array in enumerate(getattr(state, name))}


def _checksum(header: dict[str, Any], arrays: dict[str, Integers]) -> str:
    """SHA-256 of everything that a file says but this."""
    text = {key: value for key, value in header.items() if key != "checksum"}
    digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name], dtype="<i8").tobytes())
    return digest.hexdigest()


def save(
    path: str | os.PathLike[str], config: NetworkConfig, state: NetworkState, run: dict[str, Any] | None = None
) -> None:
    """Writes a network; the file appears whole or not at all.

    Parameters
    ----------
    path : path
    config : NetworkConfig
    state : NetworkState
    run : dict, optional
        What a program wants to know when it goes on: an object of JSON, see :func:`load_run`.

    Raises
    ------
    ValueError
        The state is not one of the configuration, or the file cannot be written.
    """
    state.check(config)
    arrays = _arrays(state)
    header: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "digest": config.digest(),
        "network": config.describe(),
        "state": {name: getattr(state, name) for name in NUMBERS},
        "run": run or {},
    }
    header["checksum"] = _checksum(header, arrays)
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    _write(path, {"header": text, **{name: array.astype("<i8") for name, array in arrays.items()}})


def load(path: str | os.PathLike[str], expected: NetworkConfig | None = None) -> tuple[NetworkConfig, NetworkState]:
    """Reads a network that :func:`save` wrote, and proves it whole.

    Parameters
    ----------
    path : path
    expected : NetworkConfig, optional
        What the network must be.

    Raises
    ------
    ValueError
        It is not there, not such a file, damaged, or another network than expected: one line with the reason.
    """
    config, state, _ = load_all(path, expected)
    return config, state


def load_all(
    path: str | os.PathLike[str], expected: NetworkConfig | None = None
) -> tuple[NetworkConfig, NetworkState, dict[str, Any]]:
    """As :func:`load`, and what :func:`save` was given as ``run``; empty if nothing."""
    name = os.fspath(path)
    header, arrays = _checked(name)
    # From here on the content is what a writer wrote, but not every writer need be ours.
    description, numbers = header.get("network"), header.get("state")
    if not isinstance(description, dict) or not isinstance(numbers, dict) or set(numbers) != set(NUMBERS):
        raise ValueError(f"{name} describes no network")
    try:
        config = NetworkConfig.from_description(description)
    except (ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"{name} describes no network: {error}") from None
    if config.digest() != header.get("digest"):
        raise ValueError(f"{name} describes another network than its digest")
    if expected is not None:
        check_same(name, config, expected)
    shapes = expected_shapes(config)
    names = {f"{kind}_{layer}" for kind in LISTS for layer in range(len(shapes[kind]))}
    if set(arrays) != names:
        raise ValueError(f"{name} has the arrays {sorted(arrays)}, not {sorted(names)}")
    lists: dict[str, Any] = {kind: [arrays[f"{kind}_{layer}"] for layer in range(len(shapes[kind]))] for kind in LISTS}
    state = NetworkState(**(lists | numbers))
    try:
        state.check(config)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return config, state, _run_of(header)


def load_run(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`save` was given as ``run``; empty if nothing. Raises ``ValueError`` as :func:`load` does."""
    header, _ = _checked(os.fspath(path))
    return _run_of(header)


def _run_of(header: dict[str, Any]) -> dict[str, Any]:
    run = header.get("run", {})
    return run if isinstance(run, dict) else {}


def _checked(name: str) -> tuple[dict[str, Any], dict[str, Integers]]:
    """Header and arrays of a file of ours that is whole."""
    header, arrays = _read(name)
    if header.get("kind") != KIND:
        raise ValueError(f"{name} is not the file of a network")
    if header.get("version") != VERSION:
        raise ValueError(f"{name} has version {header.get('version')!r}, this program reads {VERSION}")
    if header.get("checksum") != _checksum(header, arrays):
        raise ValueError(f"{name} is damaged: its checksum does not match")
    return header, arrays


def check_same(name: str, config: NetworkConfig, expected: NetworkConfig) -> None:
    """Raises ``ValueError`` with the first parameter in which a network is not the one expected."""
    mine, other = config.describe(), expected.describe()
    for key, value in mine.items():
        if value != other[key]:
            raise ValueError(f"{name} has another network: {key.replace('_', ' ')} {value}, not {other[key]}")


def export_logs(path: str | os.PathLike[str], config: NetworkConfig, state: NetworkState) -> None:
    """Writes each layer's weights as plain LNS codes: ``sign_0``, ``log_0`` of shape (neurons, inputs + 1) and
    ``top_0``, …, and ``base_factor``. A weight is ``(-1)**sign * 2**((log - log_max) / base_factor + top)``."""
    state.check(config)
    fmt = config.weight
    arrays: dict[str, npt.NDArray[Any]] = {
        "base_factor": np.array(int(fmt.base_factor)),
        "log_max": np.array(fmt.log_max),
    }
    for layer, (words, top) in enumerate(zip(state.weights, config.weight_tops, strict=True)):
        sign, log = fmt.unpack(words)
        arrays |= {f"sign_{layer}": sign.astype(np.uint8), f"log_{layer}": log.astype(np.int32)}
        arrays[f"top_{layer}"] = np.array(top)
    _write(path, arrays)


def export_floats(path: str | os.PathLike[str], config: NetworkConfig, state: NetworkState) -> None:
    """Writes each layer's weights as float32, ``weight_0`` of shape (neurons, inputs) and ``bias_0``, …: activations
    are ``max(weight @ x + bias, 0)``, the last layer's sums log2 of the softmax's numerators."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for layer, matrix in enumerate(float_weights(config, state)):
        arrays |= {f"weight_{layer}": matrix[:, :-1], f"bias_{layer}": matrix[:, -1]}
    _write(path, arrays)


def float_weights(config: NetworkConfig, state: NetworkState) -> list[npt.NDArray[np.float32]]:
    """The kept weights as float32, shape (neurons, inputs + 1) a layer."""
    state.check(config)
    return [
        decode(config.weight, words, top, flush=False).astype(np.float32)
        for words, top in zip(state.weights, config.weight_tops, strict=True)
    ]


def _write(path: str | os.PathLike[str], arrays: dict[str, Any]) -> None:
    """An archive of arrays, under its name only when all of it is on the disk."""
    target = Path(path)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = file.name
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is for its owner alone; a saved network is a file like others.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, target)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ValueError(f"Cannot write {target}: {error.strerror or error}") from None


def _read(name: str) -> tuple[dict[str, Any], dict[str, Integers]]:
    """Header and arrays of an archive, for which nothing is taken on trust."""
    try:
        with open(name, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"Cannot read {name}: {error.strerror or error}") from None
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{name} is too large for the file of a network")
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError(f"{name} is not the file of a network, or is cut short")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise ValueError("its arrays are too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            if "header" not in arrays.files:
                raise ValueError("it has no header")
            header_bytes = arrays["header"]
            if getattr(header_bytes, "dtype", None) != np.uint8 or header_bytes.size > _MAX_HEADER:
                raise ValueError("its header is none")
            header = json.loads(header_bytes.tobytes())
            content = {key: arrays[key] for key in arrays.files if key != "header"}
            if any(not isinstance(array, np.ndarray) or array.dtype != "<i8" for array in content.values()):
                raise ValueError("its arrays are not of int64")
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error, NotImplementedError,
            RuntimeError, MemoryError, SyntaxError, OverflowError) as error:  # fmt: skip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{name} is not the file of a network, or damaged: {reason}") from None
    if not isinstance(header, dict):
        raise ValueError(f"{name} is not the file of a network")
    return header, {key: array.astype(np.int64) for key, array in content.items()}
