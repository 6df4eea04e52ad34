"""The codec of frames against bytes composed by hand."""

import struct
import zlib

import numpy as np
import pytest

from lnsmadam.fpga.trainer.frames import (
    MAX_PAYLOAD,
    Command,
    Decoder,
    Frame,
    Hello,
    Progress,
    Region,
    Result,
    Run,
    Space,
    pack_words,
    read_payload,
    regions,
    unpack_words,
    write_payload,
)
from lnsmadam.golden.trainer.config import network_preset
from lnsmadam.golden.trainer.layout import Layout


def by_hand(sequence, code, payload):
    body = bytes([sequence, code, len(payload) & 255, len(payload) >> 8]) + payload
    return b"\xa5" + body + zlib.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize("length", [0, 1, 2, 255, 256, 511, 512])
def test_a_frame_is_its_bytes(length):
    payload = np.random.default_rng(length).bytes(length)
    frame = Frame(200, 3, payload)
    assert frame.encode() == by_hand(200, 3, payload)
    decoder = Decoder()
    for byte in frame.encode()[:-1]:
        assert decoder.feed([byte]) == [] and decoder.in_frame
    assert decoder.feed(frame.encode()[-1:]) == [frame]
    assert not decoder.in_frame and decoder.dropped == 0


def test_a_payload_too_long_is_refused():
    with pytest.raises(ValueError, match="^Payload must be at most 512 bytes, not 513$"):
        Frame(0, 0, bytes(513)).encode()


def test_what_is_not_a_frame_is_dropped():
    decoder, good = Decoder(), Frame(1, 2, b"abc")
    assert decoder.feed(b"noise" + good.encode() + b"\0" + good.encode()) == [good, good]
    assert decoder.dropped == 0
    # Too long: dropped when that is known; what follows is looked at.
    assert decoder.feed(b"\xa5\1\1\1\2" + good.encode()) == [good] and decoder.dropped == 1
    for bit in range(8, 8 * len(good.encode())):
        data = bytearray(good.encode())
        data[bit // 8] ^= 1 << bit % 8
        before = decoder.dropped
        assert decoder.feed(data) == []
        decoder.silence()
        assert decoder.dropped == before + 1 and not decoder.in_frame
    decoder.silence()
    assert decoder.dropped == 8 * len(good.encode()) - 8 + 1
    decoder.feed(good.encode()[:-1])
    decoder.silence()
    assert decoder.feed(good.encode()) == [good]


def test_payloads():
    assert Hello(1, b"12345678", 1297, 16, 80_000_000).encode() == struct.pack(
        "<B8sIBI", 1, b"12345678", 1297, 16, 8 * 10**7
    )
    run = Run(True, 3, True, 70, True, 5, 1000, 2**32 - 1, 9)
    assert run.encode() == struct.pack("<BBBHBIIII", 1, 3, 1, 70, 1, 5, 1000, 2**32 - 1, 9)
    progress = Progress(True, 1, 2, 3, 4)
    assert progress.encode() == struct.pack("<BIIII", 1, 1, 2, 3, 4)
    for payload in (Hello(1, b"12345678", 2, 3, 4), run, progress):
        assert type(payload).decode(payload.encode()) == payload
        with pytest.raises(ValueError, match=r"^Payload of \w+ must have \d+ bytes, not 0$"):
            type(payload).decode(b"")
    with pytest.raises(ValueError, match="^Flags must be 0 or 1"):
        Run.decode(b"\2" + run.encode()[1:])
    assert write_payload(Space.SAMPLES, 70_000, [1, 255], 1) == b"\5\x70\x11\1\0\1\xff"
    assert read_payload(Space.LOGITS, 1, 9) == b"\4\1\0\0\0\x09\0"
    for result in (Result(9, True, False), Result(1023, False, True)):
        assert Result.decode(result.encode()) == result
    assert Result(9, True, True).encode() == 0xC009


@pytest.mark.parametrize("size", [1, 2, 4])
def test_words(size):
    words = [0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1)]
    assert unpack_words(pack_words(words, size), size) == words
    assert unpack_words(pack_words([-1, -2], size), size) == [(1 << 8 * size) - 1, (1 << 8 * size) - 2]


def test_regions():
    layout = Layout(network_preset("FO"), 8)
    found = regions(layout, 62)
    # 64 + 1 inputs in 4 blocks of 8 lanes and 32 + 1 in 2; 65 + 33 inputs, 32 + 10 neurons.
    assert found[Space.WEIGHTS] == Region((65 * 4 + 33 * 2) * 8, 10) and found[Space.WEIGHTS].bytes == 2
    assert found[Space.INPUT_TRACKERS] == Region(98, 9) and found[Space.NEURON_TRACKERS] == Region(42, 9)
    assert found[Space.SAMPLES] == Region(62 * 65, 7) and found[Space.SAMPLES].words_per_write == MAX_PAYLOAD - 5
    assert found[Space.REGISTERS].words_per_read == 128 and found[Space.RESULTS] == Region(62, 16)
    assert regions(Layout(network_preset("FX"), 8), 62)[Space.INPUT_TRACKERS].size == 0
    assert regions(Layout(network_preset("FV"), 8), 62)[Space.WEIGHTS].bytes == 4
    assert list(Command) == list(range(6))
