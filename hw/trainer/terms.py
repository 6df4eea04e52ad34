"""What an input or a neuron adds to the logs of its weights' gradients."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.madam_config import Rounding
from lnsmadam.golden.trainer.config import SecondMoment, WarmUp
from lnsmadam.golden.trainer.machine import ADDRESS_BITS, DATA_BITS, TrainerConfig
from lnsmadam.hw.lns import is_zero_log, shape_of, signed_bits
from lnsmadam.hw.trainer.delay import History, delayed
from lnsmadam.hw.trainer.memories import block_memory
from lnsmadam.hw.trainer.tracker import Tracker

#: An access to words of state: whether one may come, what it addresses, whether it writes, and what.
STATE_ACCESS = data.StructLayout({"reads": 1, "writes": 1, "address": ADDRESS_BITS, "data": DATA_BITS})


class Terms(wiring.Component):
    """The log of a word in state steps, less its tracker where it has one.

    Computes ``x = ratio * (log - log_max) + offset``; with trackers ``r' = tracker(r, x)`` and ``term = x - r'``,
    else ``term = x``. One a cycle, never stopped.

    Parameters
    ----------
    config : TrainerConfig
    fmt : LNSFormat
        Format of the words.
    offsets : (int, int)
        Offset where ``is_hidden`` is 0 and where it is 1.
    logs : (int, int)
        Range of x.
    trackers : int
        Trackers in all.

    Attributes
    ----------
    latency : int
        Cycles from ``word`` to ``term``, ``zero``, ``sign`` and ``delayed_word``.
    noise_latency : int
        Cycles from ``word`` to its ``noise``; without trackers the draw is the weights' alone.
    write_latency : int
        Cycles from ``moves`` to the tracker's new value in the memory.

    Members
    -------
    place, moves : ``In``
        The word's tracker, a cycle before the word; whether it moves on, and is written.
    word, is_hidden : ``In(fmt)``, ``In(1)``
        The word, from a memory.
    noise : ``In(state_fraction_bits)``
        Random bits, where the tracker is rounded stochastically.
    shift : ``In``
        k, where it grows.
    term : ``Out(signed)``
        Any number for a zero word.
    zero, sign : ``Out(1)``
    delayed_word : ``Out(fmt)``
    access, found : ``In(STATE_ACCESS)``, ``Out(signed)``
        Of trackers; what stands at the address two cycles later.
    """

    def __init__(
        self, config: TrainerConfig, fmt: LNSFormat, offsets: tuple[int, int], logs: tuple[int, int], trackers: int
    ):
        self.config, self.fmt, self.offsets, self.trackers = config, fmt, offsets, trackers
        network = config.network
        self.log_bits = signed_bits(*logs)
        self.has_trackers = network.second_moment is SecondMoment.FACTORED
        members = {
            "word": In(shape_of(fmt)),
            "is_hidden": In(1),
            "term": Out(signed(signed_bits(*config.term_range(logs)))),
            "zero": Out(1),
            "sign": Out(1),
            "delayed_word": Out(shape_of(fmt)),
        }
        if self.has_trackers:
            self._tracker = Tracker(network, self.log_bits)
            members |= {
                "place": In((trackers - 1).bit_length()),
                "moves": In(1),
                "access": In(STATE_ACCESS),
                "found": Out(signed(network.state.log_width)),
            }
            if network.warm_up is WarmUp.GROWING:
                members["shift"] = In(network.beta_shift.bit_length())
            if network.state_rounding is Rounding.STOCHASTIC:
                members["noise"] = In(network.state_fraction_bits)
        super().__init__(members)

    @property
    def latency(self) -> int:
        return 1 + self._tracker.latency if self.has_trackers else 0

    @property
    def noise_latency(self) -> int:
        return int(self.has_trackers)

    @property
    def write_latency(self) -> int:
        return 2 + self.latency

    def elaborate(self, platform):
        m = Module()
        log, ratio_bits = self.word.log, self.config.step_ratio.bit_length() - 1
        tops = [self.fmt.log_max - (offset >> ratio_bits) for offset in self.offsets]
        top = Signal(signed(max(signed_bits(top, top) for top in tops)))
        m.d.comb += top.eq(Mux(self.is_hidden, tops[1], tops[0]) if tops[0] != tops[1] else tops[0])
        x, zero = Signal(signed(self.log_bits)), is_zero_log(log)
        m.d.comb += [
            x.eq((log - top) << ratio_bits),
            self.delayed_word.eq(delayed(m, self.word.as_value(), self.latency, "word")),
            self.sign.eq(delayed(m, self.word.sign, self.latency, "sign")),
        ]
        if self.has_trackers:
            self._track(m, x, zero)
        else:
            m.d.comb += [self.term.eq(x), self.zero.eq(zero)]
        return m

    def _track(self, m: Module, x, zero) -> None:
        m.submodules.tracker = tracker = self._tracker
        read, write = block_memory(m, "trackers", width=self.config.network.state.log_width, depth=self.trackers)
        moves, place, access = (
            History(m, self.moves, "moves", cleared=True),
            History(m, self.place, "place"),
            self.access,
        )
        at, r = 1 + self.latency, delayed(m, read.data, 1, "r")
        m.d.comb += [
            read.addr.eq(Mux(access.reads, access.address, self.place)),
            self.found.eq(r),
            tracker.r.eq(r),
            tracker.x.eq(delayed(m, x, 1, "x")),
            tracker.zero.eq(delayed(m, zero, 1, "zero")),
            tracker.update.eq(moves[2]),
            self.zero.eq(tracker.zero_out),
            self.term.eq(tracker.x_out - tracker.result),
            write.en.eq(access.writes | moves[at]),
            write.addr.eq(Mux(access.writes, access.address, place[at])),
            write.data.eq(Mux(access.writes, access.data, tracker.result)),
        ]
        if hasattr(self, "shift"):
            m.d.comb += tracker.k.eq(self.shift)
        if hasattr(self, "noise"):
            m.d.comb += tracker.u.eq(self.noise)
