"""One lane's update: a weight's log moves by a step that the gradient's log gives."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.antilog import antilog_table, octave_bits
from lnsmadam.golden.trainer.config import MAX_LR_SHIFT, NetworkConfig, Rounding, SecondMoment
from lnsmadam.golden.trainer.tables import step_offset, step_sizes
from lnsmadam.hw.adders import add
from lnsmadam.hw.lns import LNS, signed_bits
from lnsmadam.hw.pipeline import out_of_range, word
from lnsmadam.hw.tables import logic_table
from lnsmadam.hw.trainer.stages import Stages

#: Boundaries of a step, from the terms to the weight's new log.
NORM, CLIPPED, OCTAVE, SIZE, STEPS, SUM = range(1, 7)

#: Tables of whole steps up to this many entries; beyond, mantissas are shifted.
_MOST_ENTRIES = 128


def default_registered(network: NetworkConfig) -> frozenset[int]:
    """The boundaries that hold a register by default: with fewer, flip-flops that only delay are fewer as well."""
    is_random = network.weight_rounding is Rounding.STOCHASTIC
    return frozenset({NORM, OCTAVE, SIZE, SUM} if is_random else {NORM, OCTAVE, SUM})


def noise_bits(network: NetworkConfig) -> int:
    """Random bits of a weight's update, its own tracker's included."""
    per_weight = network.second_moment is SecondMoment.PER_WEIGHT and network.state_rounding is Rounding.STOCHASTIC
    return max(
        network.step_bits * (network.weight_rounding is Rounding.STOCHASTIC),
        network.state_fraction_bits * per_weight,
    )


class StepLane(wiring.Component):
    """Moves a weight by a step::

        N     = min(term_i + term_j, g * grad_bound)           log2 of the normalised gradient
        E     = N + g * (lr + log2(weight.base_factor) - lr_shift)
        size  = floor(M[E mod g] * 2**(E div g))               M: exactly rounded 2**(r / g), of step_bits bits
        steps = size rounded to an integer
        log'  = log -+ steps, clipped to the format's range    - where the weight has the gradient's sign

    A weight with a gradient of zero comes out as it went in. One weight per cycle. The weight and what goes with it
    enter :attr:`weight_at` cycles after the terms, the new weight leaves :attr:`latency` cycles after them, through
    logic behind its last register.

    Parameters
    ----------
    network : NetworkConfig
    input_bits, neuron_bits : int
        Of the terms.
    registered : set of int, optional
        Boundaries that hold a register.

    Attributes
    ----------
    latency, weight_at : int

    Members
    -------
    term_i, term_j : ``In(signed(…))``
        The input's and the neuron's part of N, in steps of ``network.state``; any numbers where ``zero`` will be 1.
    lr_shift : ``In(3)``
        Holds while weights are on their way.
    weight : ``In(network.weight.width)``
        The kept word.
    sign, zero : ``In(1)``
        Of the gradient.
    u : ``In(step_bits)``
        Random bits, where steps are rounded stochastically.
    result : ``Out(network.weight.width)``
    """

    def __init__(
        self, network: NetworkConfig, input_bits: int, neuron_bits: int, registered: frozenset[int] | None = None
    ):
        self.network = network
        self.registered = default_registered(network) if registered is None else registered
        width = network.weight.width
        members = {
            "term_i": In(signed(input_bits)),
            "term_j": In(signed(neuron_bits)),
            "lr_shift": In(range(MAX_LR_SHIFT + 1)),
            "weight": In(width),
            "sign": In(1),
            "zero": In(1),
            "result": Out(width),
        }
        if network.weight_rounding is Rounding.STOCHASTIC:
            members["u"] = In(network.step_bits)
        super().__init__(members)

    @property
    def latency(self) -> int:
        return len(self.registered)

    @property
    def weight_at(self) -> int:
        return len([boundary for boundary in self.registered if boundary < STEPS])

    def elaborate(self, platform):
        m = Module()
        random = self.u if self.network.weight_rounding is Rounding.STOCHASTIC else None
        norm = self.term_i + self.term_j
        result = step(m, self.network, self.registered, norm, self.lr_shift, self.weight, self.sign, self.zero, random)
        m.d.comb += self.result.eq(result)
        return m


def step(m: Module, network: NetworkConfig, registered, norm, lr_shift, weight, sign, zero, random) -> Value:
    """The new weight from the sum of the terms, behind the boundaries of this file; ``random`` is None where steps
    are rounded to nearest."""
    stages = Stages(m, registered=registered)
    factor_bits = octave_bits(network.state.base_factor)
    # An octave has a sign also where all terms are within one.
    if len(norm) <= factor_bits:
        norm = Cat(norm, norm[-1].replicate(factor_bits + 1 - len(norm))).as_signed()
    stages.boundary()
    norm = stages.register(norm, name="norm")

    # Octaves are counted from the least that can leave a step. All below it are one.
    offset = (step_offset(network, 0) >> factor_bits) - _least_octave(network)
    lowest = min(-offset, network.grad_bound)
    shape = signed(signed_bits(lowest - 1, network.grad_bound))
    octave = norm[factor_bits:].as_signed()
    is_clipped, is_none = at_least(octave, network.grad_bound), ~at_least(octave, lowest)
    near = Signal(shape)
    m.d.comb += near.eq(octave)
    stages.boundary()
    force = [(is_clipped, Const(network.grad_bound, shape)), (is_none, Const(lowest - 1, shape))]
    near = stages.register(near, name="near", force=force)
    remainder = stages.register(norm[:factor_bits], name="remainder", force=[(is_clipped, 0)])

    highest = network.grad_bound + offset
    octave = Signal(signed(signed_bits(lowest - 1 + offset - MAX_LR_SHIFT, highest)))
    m.d.comb += octave.eq(near + (offset - lr_shift))
    stages.boundary()
    octave, remainder = stages.register(octave, name="octave"), stages.register(remainder, name="remainder")

    size = (_steps if random is None else _sizes)(m, network, octave, remainder, highest)
    stages.boundary()
    size = stages.register(size, name="size")
    if random is not None:
        size = (size + random)[network.step_bits :]
    weight = LNS(network.weight)(weight)
    is_down = ~(weight.sign ^ sign)
    inverted = size ^ is_down.replicate(len(size))
    stages.boundary()
    # The sign bit of a step down completes its complement.
    moved = stages.register(Cat(inverted, is_down).as_signed(), name="step", force=[(zero, 0)])
    log, sign = stages.register(weight.log, name="log"), stages.register(weight.sign, name="sign")
    zero = stages.register(zero, name="zero")

    total = add(m, log, moved, moved[-1])
    stages.boundary()
    log = stages.register(total, name="new_log")
    sign, zero = stages.register(sign, name="sign"), stages.register(zero, name="zero")

    fmt = network.weight
    above, below = out_of_range(log, fmt)
    return word(sign, Mux(below & ~zero, fmt.log_min, Mux(above & ~zero, fmt.log_max, log)), fmt)


def at_least(value: Value, limit: int) -> Value:
    """Whether a signed value is ``limit`` or more, without a carry chain: it is short and the limit constant."""
    if signed_bits(limit) > len(value):
        return Const(limit < 0, 1)
    result: Value = Const(1, 1)
    for place, bit in enumerate(value[:-1]):
        result = bit & result if limit >> place & 1 else bit | result
    # With the sign bit the order is the other way round.
    return result | ~value[-1] if limit < 0 else result & ~value[-1]


def _least_octave(network: NetworkConfig) -> int:
    """The least octave of a step's log that can leave a step: one less where a mantissa of few bits is rounded to 2."""
    octave = -1 if network.weight_rounding is Rounding.NEAREST else -network.step_bits
    return octave - (max(_mantissas(network)) >> (network.step_bits + 1))


def _mantissas(network: NetworkConfig) -> list[int]:
    """What log2 within an octave stands for, in steps of ``2**-step_bits``."""
    return [int(x) for x in antilog_table(int(network.state.base_factor), network.step_bits)[:-1]]


def _steps(m: Module, network: NetworkConfig, octave, remainder, highest: int) -> Value:
    """Whole steps, rounded to nearest."""
    factor = int(network.state.base_factor)
    half = 1 << network.step_bits >> 1
    if not 0 <= highest * factor < _MOST_ENTRIES:
        return (_sizes(m, network, octave, remainder, highest) + half)[network.step_bits :]
    # In the highest octave, where steps are clipped, there is one log.
    logs = np.arange(highest * factor + 1) + _least_octave(network) * factor
    entries = ((step_sizes(network, logs) + half) >> network.step_bits).tolist()
    address = Cat(remainder, octave[: highest.bit_length()])
    table = logic_table(m, entries, address, max(entries).bit_length(), "steps")
    return Mux(octave < 0, 0, table)


def _sizes(m: Module, network: NetworkConfig, octave, remainder, highest: int) -> Value:
    """Steps with their fraction."""
    mantissas = _mantissas(network)
    mantissa = logic_table(m, mantissas, remainder, max(mantissas).bit_length(), "mantissa")
    least = _least_octave(network)
    bits = max(network.step_bits + 1 + highest + least, 1)
    amount = octave[: max(highest, 1).bit_length()]
    return Mux(octave < 0, 0, (mantissa << amount)[-least : bits - least])
