"""Logits to a class and to the derivatives of the loss."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.antilog import octave_bits
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.tables import exp_table, softmax_log
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.log_of_mantissa import log_of_magnitude
from lnsmadam.hw.pipeline import out_of_range, word
from lnsmadam.hw.tables import logic_table
from lnsmadam.hw.trainer.stages import Stages


class Loss(wiring.Component):
    """Decides for the largest logit and gives the derivatives of cross-entropy after a softmax in base 2.

    With D_j the distance of a logit from the largest, which is already the log of its exponential, and S the sum
    of ``u_j = 2**-D_j``::

        delta_j     = u_j / S             log2: -(D_j + log2 S)              of other classes
        delta_label = -(S - u_label) / S  log2: -(log2 S - log2(S - u_label))

    A sum comes as it leaves the lanes and is rounded to a logit. Logits pass three times: as they come in, for the
    largest; from the memory, for S; and again, for the deltas. Between the last logit in and the last delta out there
    are at most :attr:`latency` cycles. ``start`` drops what was under way.

    Parameters
    ----------
    network : NetworkConfig
    ram_style : str, optional
        Of the memory of logits, as the synthesis tool names it; by default the tool chooses.

    Attributes
    ----------
    latency : int
    logit_width : int

    Members
    -------
    start : ``In(1)``
        A sample begins; in a cycle before its first logit.
    label, learn, gate_on, gate_margin : ``In``
        Hold from ``start`` to the next. With ``gate_on`` a sample whose label's logit exceeds all others by
        ``gate_margin`` steps has no deltas.
    logit_valid, value : ``In(1)``, ``In(signed(network.sum_width))``
        Saturated sums of the last layer, in the order of the classes.
    decided : ``Out(1)``
        For one cycle, when ``predicted``, ``correct`` and ``gated`` hold the outcome, as they do until ``start``.
    delta_valid, delta : ``Out(1)``, ``Out(network.delta.width)``
        The deltas in the order of the classes, if ``learn`` is 1 and ``gated`` is not.
    read_index, read_logit : ``In``, ``Out(signed(logit_width))``
        While no sample is under way, the logit of a class, one cycle later.
    """

    def __init__(self, network: NetworkConfig, ram_style: str | None = None):
        self.network, self.ram_style = network, ram_style
        classes = network.sizes[-1]
        super().__init__(
            {
                "start": In(1),
                "label": In(range(classes)),
                "learn": In(1),
                "gate_on": In(1),
                "gate_margin": In(16),
                "logit_valid": In(1),
                "value": In(signed(network.sum_width)),
                "decided": Out(1),
                "predicted": Out(range(classes)),
                "correct": Out(1),
                "gated": Out(1),
                "delta_valid": Out(1),
                "delta": Out(network.delta.width),
                "read_index": In(range(classes)),
                "read_logit": Out(signed(self.logit_width)),
            }
        )

    @property
    def _shift(self) -> int:
        """By how many bits a sum is longer than its logit; by all of them, and more, the logit of every sum is 0."""
        network, last = self.network, self.network.layers - 1
        tops = network.source_top(last) + network.weight_tops[last]
        return min(network.sum_fraction_bits - tops - network.logit_bits, network.sum_width)

    @property
    def logit_width(self) -> int:
        largest = 1 << (self.network.sum_width - 1)
        return signed_bits(-largest, largest - 1) - self._shift + (self._shift > 0)

    @property
    def latency(self) -> int:
        return 2 * self.network.sizes[-1] + softmax_log(self.network).boundaries + 16

    def elaborate(self, platform):
        m = Module()
        last = self.network.sizes[-1] - 1
        logit, logit_valid, index = self._collect(m)

        m.submodules.memory = memory = Memory(shape=signed(self.logit_width), depth=last + 1, init=[])
        if self.ram_style:
            memory.attrs["ram_style"] = self.ram_style
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(index),
            write.data.eq(logit),
            write.en.eq(logit_valid),
            self.read_logit.eq(read.data),
        ]

        best, margin = self._decide(m, logit, logit_valid, index)
        is_gated = Signal()
        m.d.comb += is_gated.eq(self.gate_on & (margin >= self.gate_margin))

        # A pass through the memory: the address, its logit, the distance.
        address, passing = Signal(range(last + 1)), Signal()
        m.d.comb += read.addr.eq(Mux(passing, address, self.read_index))
        is_last = address == last
        at_logit, at_distance = Signal(), Signal()
        own_1, own_2 = Signal(reset_less=True), Signal(reset_less=True)
        distance = Signal(self.logit_width, reset_less=True)
        m.d.sync += [
            at_logit.eq(passing & ~self.start),
            at_distance.eq(at_logit & ~self.start),
            own_1.eq(address == self.label),
            own_2.eq(own_1),
            distance.eq(best - read.data),
        ]
        with m.If(passing):
            m.d.sync += address.eq(address + 1)
            with m.If(is_last):
                m.d.sync += [passing.eq(0), address.eq(0)]

        summing = Signal()
        totals_done, total, other = self._sum(m, at_distance & summing, distance, own_2)
        logs_done, log, other_log, other_is_zero = self._logs(m, totals_done, total, other)
        self._deltas(m, at_distance & ~summing, distance, own_2, log, other_log, other_is_zero)

        at_margin, at_decision = Signal(), Signal()
        m.d.sync += [
            at_margin.eq(logit_valid & (index == last) & ~self.start),
            at_decision.eq(at_margin & ~self.start),
            self.decided.eq(at_decision & ~self.start),
        ]
        with m.If(at_decision):
            m.d.sync += [self.gated.eq(is_gated), self.correct.eq(self.predicted == self.label)]
            with m.If(self.learn & ~is_gated):
                m.d.sync += [passing.eq(1), summing.eq(1)]
        with m.If(logs_done):
            m.d.sync += [passing.eq(1), summing.eq(0)]
        with m.If(self.start):
            m.d.sync += [passing.eq(0), address.eq(0), summing.eq(0)]
        return m

    def _collect(self, m: Module):
        """``(logit, valid, index)``: the sum, rounded to nearest."""
        shift = self._shift
        logit, valid = Signal(signed(self.logit_width), reset_less=True), Signal()
        index = Signal(range(self.network.sizes[-1]), reset_less=True)
        value = (self.value + (1 << shift >> 1)) >> shift if shift > 0 else self.value << -shift
        m.d.sync += [logit.eq(value), valid.eq(self.logit_valid & ~self.start)]
        with m.If(valid):
            m.d.sync += index.eq(index + 1)
        with m.If(self.start):
            m.d.sync += index.eq(0)
        return logit, valid, index

    def _decide(self, m: Module, logit, logit_valid, index):
        """The largest logit, and by how much the label's exceeds the largest other, one cycle after the last."""
        least = -(1 << (self.logit_width - 1))
        best, own, other = (Signal.like(logit, name=name) for name in ("best", "own", "other"))
        margin = Signal(signed(self.logit_width + 1), reset_less=True)
        m.d.sync += margin.eq(own - other)
        with m.If(logit_valid):
            # Not where it is equal: the first index counts.
            with m.If(logit > best):
                m.d.sync += [best.eq(logit), self.predicted.eq(index)]
            with m.If(index == self.label):
                m.d.sync += own.eq(logit)
            with m.Elif(logit > other):
                m.d.sync += other.eq(logit)
        with m.If(self.start):
            m.d.sync += [best.eq(least), other.eq(least), self.predicted.eq(0)]
        return best, margin

    def _sum(self, m: Module, valid, distance, is_own):
        """``(done, total, total of the other classes)`` of the exponentials of a pass."""
        network = self.network
        fraction_bits, width = octave_bits(1 << network.logit_bits), softmax_log(network).width
        # 2**-distance is a mantissa of the distance's fraction, cut when it is shifted by the octaves.
        powers = [int(power) for power in exp_table(network)[: 1 << fraction_bits]]
        mantissa = logic_table(m, powers, distance[:fraction_bits], network.exp_bits + 1, "exponential")
        octaves = distance[fraction_bits:]
        shift_bits = network.exp_bits.bit_length()

        stages = Stages(m, valid, clear=self.start, name="at_exponential")
        stages.boundary()
        mantissa = stages.register(mantissa, name="mantissa")
        shift = stages.register(octaves[:shift_bits], name="shift")
        is_far = stages.register(octaves[shift_bits:].any(), name="is_far")
        is_own = stages.register(is_own, name="is_own")
        power = Mux(is_far, 0, mantissa >> shift)
        stages.boundary()
        power, is_own = stages.register(power, name="power"), stages.register(is_own, name="is_own")

        total, other = Signal(width, reset_less=True), Signal(width, reset_less=True)
        was_valid = Signal()
        m.d.sync += was_valid.eq(stages.valid & ~self.start)
        with m.If(stages.valid):
            m.d.sync += total.eq(Mux(was_valid, total, 0) + power)
            m.d.sync += other.eq(Mux(was_valid, other, 0) + Mux(is_own, 0, power))
        done = Signal()
        m.d.comb += done.eq(was_valid & ~stages.valid)
        return done, total, other

    def _logs(self, m: Module, valid, total, other):
        """``(done, log2 of the total, that of the others, the others are 0)``: one after the other, of one log."""
        second = Signal()
        m.d.sync += second.eq(valid & ~self.start)
        stages = Stages(m, valid | second, clear=self.start, name="at_log")
        magnitude = Mux(second, other, total)
        # Stages have what it takes of a Pipeline.
        log, is_zero, _ = log_of_magnitude(m, stages, softmax_log(self.network), magnitude, {})  # type: ignore[arg-type]
        first_log, second_log = (Signal.like(log, name=name, reset_less=True) for name in ("total_log", "other_log"))
        other_is_zero, was_valid, done = Signal(reset_less=True), Signal(), Signal()
        m.d.sync += [
            was_valid.eq(stages.valid & ~self.start),
            done.eq(was_valid & stages.valid & ~self.start),
        ]
        with m.If(stages.valid):
            m.d.sync += [second_log.eq(log), first_log.eq(second_log), other_is_zero.eq(is_zero)]
        return done, first_log, second_log, other_is_zero

    def _deltas(self, m: Module, valid, distance, is_own, log, other_log, other_is_zero) -> None:
        network, fmt = self.network, self.network.delta
        stages = Stages(m, valid, clear=self.start, name="at_delta")
        # log2 of the derivative, negated, in logit's steps.
        lost = Mux(is_own, -other_log, Cat(distance, Const(0, 1)).as_signed()) + log
        stages.boundary()
        lost = stages.register(lost, name="lost")
        is_zero = stages.register(is_own & other_is_zero, name="is_zero")
        is_own = stages.register(is_own, name="is_own")

        cut = network.logit_bits - octave_bits(network.base_factor)
        top = ((fmt.log_max - network.base_factor * network.delta_top) << cut) + (1 << cut >> 1)
        total = (top - lost) >> cut
        stages.boundary()
        total = stages.register(total, name="total")
        is_zero = stages.register(is_zero, name="is_zero")
        is_own = stages.register(is_own, name="is_own")

        above, below = out_of_range(total, fmt)
        flush = is_zero | below
        if len(total) < fmt.log_width:
            total = Cat(total, total[-1].replicate(fmt.log_width - len(total)))
        stages.boundary()
        force = [(flush, fmt.zero), (above, fmt.max_word)]
        result = stages.register(total[: fmt.log_width], name="result", force=force)
        sign = stages.register(is_own, name="sign", force=[(flush, 0)])
        m.d.comb += [self.delta.eq(word(sign, result, fmt)), self.delta_valid.eq(stages.valid)]
