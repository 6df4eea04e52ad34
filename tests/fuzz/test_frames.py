"""The host's end of a line to a trainer, with any fault on it: no frame is taken whose CRC is wrong, no answer is taken
that is another request's, and the board's state is what the acknowledged operations make of it."""

import zlib

import device
import numpy as np
from hypothesis import strategies as st
from properties import property_of

from lnsmadam.fpga.link import LinkError
from lnsmadam.fpga.trainer.client import Client
from lnsmadam.fpga.trainer.frames import Command, Decoder, Frame, Hello, Progress, Run, Status
from lnsmadam.fpga.trainer.host import Trainer
from lnsmadam.golden.trainer import initial, network_preset
from lnsmadam.golden.trainer.words import first_difference

NETWORK = network_preset("FO", (3, 2, 2))

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))
#: What may be on a line: whole frames, frames with a fault, and noise that begins like one.
pieces = st.one_of(
    frames.map(lambda frame: frame.encode()),
    st.binary(max_size=20),
    st.builds(lambda frame, n: frame.encode()[:n], frames, st.integers(0, 50)),
    st.builds(lambda frame, n: frame.encode()[n:], frames, st.integers(0, 50)),
    st.builds(
        lambda frame, n, mask: bytes(
            byte ^ mask * (k == n % len(frame.encode())) for k, byte in enumerate(frame.encode())
        ),
        frames, st.integers(0, 60), st.integers(1, 255),
    ),
    st.binary(min_size=4, max_size=4).map(lambda data: b"\xa5" + data),
)  # fmt: skip


def decoded_bytes(parts, cuts):
    """Every frame stands in the bytes, whole and with its CRC; the same ones however the bytes are cut."""
    line = b"".join(parts)
    found = Decoder().feed(line)
    at = 0
    for frame in found:
        # In order, and none uses a byte of another.
        at = line.index(frame.encode(), at) + len(frame.encode())
        body = frame.encode()[1:-4]
        assert zlib.crc32(body) == int.from_bytes(frame.encode()[-4:], "little")
    decoder, again, start = Decoder(), [], 0
    for end in sorted({min(cut, len(line)) for cut in cuts} | {len(line)}):
        again += decoder.feed(line[start:end])
        start = end
    assert again == found
    if all(len(part) > 8 and Decoder().feed(part) for part in parts):
        assert len(found) == len(parts)


test_decoder, test_decoder_long = property_of(
    "decoded_bytes", parts=st.lists(pieces, max_size=6), cuts=st.lists(st.integers(0, 400), max_size=6)
)(decoded_bytes)


def payloads_of_any_length(payload):
    """Answers are decoded, or refused in one line; what is decoded is what was sent."""
    for kind in (Hello, Progress, Run):
        try:
            value = kind.decode(payload)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert len(payload) == kind.FORM.size
            if kind is Progress:
                payload = bytes([bool(payload[0])]) + payload[1:]
            assert value.encode() == payload


test_payloads, test_payloads_long = property_of(
    "payloads",
    payload=st.one_of(st.binary(max_size=30), *(st.binary(min_size=n, max_size=n) for n in (17, 18, 22))),
)(payloads_of_any_length)


class Scripted(device.Line):
    """Answers a request with what a function of its frame gives."""

    def __init__(self, answer):
        super().__init__(None)
        self.answer = answer

    def write(self, data):
        (request,) = Decoder().feed(data)
        self.waiting += self.answer(request)
        return len(data)

    def read(self, size=1):
        data = bytes(self.waiting[:size])
        del self.waiting[:size]
        return data


def answers_to_other_requests(others, size, wanted, parts):
    """With right CRCs, other numbers: passed over. Another length or status under the right number: an error."""
    right = bytes(range(size))

    def answer(request):
        before = b"".join(Frame((request.sequence + n) % 256, code, payload).encode() for n, code, payload in others)
        return before + b"".join(parts) + (Frame(request.sequence, 0, right).encode() if wanted else b"")

    try:
        got = Client(Scripted(answer), attempts=2, patience=1e9).request(Command.STATUS, expected=17)
    except LinkError as error:
        assert "\n" not in str(error)
    else:
        # Noise may swallow the answer, or be a frame of that number; what is taken is one of them.
        assert len(got) == 17
        assert (wanted and got == right) or any(got in part for part in parts)


test_other_answers, test_other_answers_long = property_of(
    "answers_to_other_requests",
    others=st.lists(st.tuples(st.integers(1, 255), st.integers(0, 6), st.binary(max_size=20)), max_size=4),
    size=st.sampled_from([17, 17, 17, 0, 16, 18]), wanted=st.booleans(), parts=st.lists(pieces, max_size=2),
)(answers_to_other_requests)  # fmt: skip


class FuzzedLine(device.Line):
    """A line that does to each piece, in either direction, what a list of faults says; behind its end it is sound."""

    def __init__(self, board, faults):
        super().__init__(board)
        self.faults, self.held = list(faults), b""

    def damaged(self, data):
        if not data or not self.faults:
            return data
        kind, place, some = self.faults.pop(0)
        place %= len(data)
        match kind:
            case "flip":
                return data[:place] + bytes([data[place] ^ (some[0] or 1)]) + data[place + 1 :]
            case "lose":
                return data[:place] + data[place + len(some) :]
            case "cut":
                return data[:place]
            case "insert":
                return data[:place] + some + data[place:]
            case "twice":
                return data * 2
            case "gone":
                return b""
            case "late":
                # It comes with the next piece, behind it.
                self.held, data = data, self.held
                return data
        return data

    def write(self, data):
        late, self.held = self.held, b""
        self.waiting += self.damaged(self.device.feed(self.damaged(data))) + late
        return len(data)


KINDS = ["none", "none", "none", "flip", "lose", "cut", "insert", "twice", "gone", "late"]
faults = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 600), st.binary(min_size=1, max_size=12)), max_size=12
)


def requests_on_a_faulty_line(kinds, seed):
    """Each acknowledged write is there, each read is what is there; what failed may be there or not."""
    board = device.Device(NETWORK, 2, 8)
    line = FuzzedLine(board, kinds)
    client, rng = Client(line, attempts=4, patience=1e9, sequence=0), np.random.default_rng(seed)
    samples = board.samples.copy().ravel()
    unknown = np.zeros(len(samples), bool)
    try:
        client.hello()
    except LinkError:
        return
    for _ in range(8):
        place, count = int(rng.integers(len(samples) - 2)), int(rng.integers(1, 3))
        words = rng.integers(0, 128, count)
        try:
            if rng.random() < 0.6:
                unknown[place : place + count] = True
                payload = b"\x05" + place.to_bytes(4, "little") + bytes(words.tolist())
                assert client.request(Command.WRITE, payload) == b""
                samples[place : place + count] = words
                unknown[place : place + count] = False
            else:
                payload = b"\x05" + place.to_bytes(4, "little") + count.to_bytes(2, "little")
                got = np.frombuffer(client.request(Command.READ, payload, count), np.uint8)
                known = ~unknown[place : place + count]
                assert (got == samples[place : place + count])[known].all()
        except LinkError as error:
            assert "\n" not in str(error)
    assert (board.samples.ravel() == samples)[~unknown].all()


test_requests, test_requests_long = property_of(
    "requests_on_a_faulty_line", kinds=faults, seed=st.integers(0, 999)
)(requests_on_a_faulty_line)  # fmt: skip


def states_on_a_faulty_line(kinds, seed):
    """A training that ends without an error is golden's, bit for bit."""
    board = device.Device(NETWORK, 2, 16)
    words, labels = device.samples_of(NETWORK, 12, seed)
    start = initial(NETWORK, seed)
    try:
        with Trainer(FuzzedLine(board, kinds), NETWORK, poll=0) as trainer:
            trainer.load_state(start)
            trainer.train(words, labels, seed=seed)
            state = trainer.read_state()
    except LinkError as error:
        assert "\n" not in str(error)
        return
    golden = device.CompiledNetwork(NETWORK, start.copy())
    places = device.order(len(words), seed, 0)
    golden.train(words[places], labels[places], 0)
    assert first_difference(NETWORK, golden.state, state) is None
    assert first_difference(NETWORK, golden.state, board.state) is None


test_states, test_states_long = property_of(
    "states_on_a_faulty_line", kinds=st.lists(faults, max_size=3).map(lambda lists: sum(lists, [])),
    seed=st.integers(0, 99),
)(states_on_a_faulty_line)  # fmt: skip


def test_a_status_is_not_an_answer():
    """The words of the protocol: an answer of another status never brings a payload."""
    for status in Status:
        if status is not Status.OK:
            line = Scripted(lambda request, code=status: Frame(request.sequence, code, bytes(17)).encode())
            try:
                Client(line).request(Command.STATUS, expected=17)
            except LinkError:
                continue
            raise AssertionError(status)
