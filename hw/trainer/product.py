"""One product of a lane: an activation or a delta times a weight that is kept with more bits."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.antilog import antilog_table, octave_bits
from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.hw.antilog import LastShift, shift_left
from lnsmadam.hw.lns import is_zero_log, signed_bits
from lnsmadam.hw.tables import logic_table
from lnsmadam.hw.trainer.stages import Stages

#: Octaves by which the last shift moves in one step: 2 bits of the amount.
_LAST_BITS = 2


class Product(wiring.Component):
    """Multiplies two LNS words and gives the product in fixed point, as an addend and a carry.

    With n steps that the product's log lies below that of both tops' product, ``S = base_factor * F - n`` and
    ``S = base_factor * p + r``::

        magnitude = floor(M[r] * 2**(p - mantissa_bits))        M: exactly rounded 2**(r / base_factor)
        product   = {carry, addend} + carry

    The addend of a negative product is the complement of its magnitude, and its carry 1: an adder that takes the
    carry in completes it. The first operand comes as :func:`prepare` makes it, which adds all constants once for all
    lanes, and gives a zero word a number so low that the product is 0. The weight's log is rounded to the other's
    base factor by the carry into the one sum that remains here. One product per cycle, :attr:`latency` cycles later.

    Parameters
    ----------
    network : NetworkConfig
    registered : set of int
        Boundaries that hold a register: 1 behind the sum of the logs, 2 before the last shift, 3 the addend.

    Attributes
    ----------
    latency : int

    Members
    -------
    x : ``In(signed(operand_bits(network)))``
        First operand's log, prepared.
    sign : ``In(1)``
        Of the first operand.
    weight_log : ``In(signed(network.weight.log_width))``
        Of the kept weight: never zero, its code is the number that it is.
    weight_sign : ``In(1)``
    addend : ``Out(F + 1)``
    carry : ``Out(1)``
        Also the addend's sign.
    """

    def __init__(self, network: NetworkConfig, registered: frozenset[int] = frozenset({1, 2, 3})):
        self.network, self.registered = network, registered
        super().__init__(
            {
                "x": In(signed(operand_bits(network))),
                "sign": In(1),
                "weight_log": In(signed(network.weight.log_width)),
                "weight_sign": In(1),
                "addend": Out(network.sum_fraction_bits + 1),
                "carry": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        return len(self.registered)

    def elaborate(self, platform):
        m = Module()
        network = self.network
        stages = Stages(m, registered=self.registered)
        remainder_bits = octave_bits(network.base_factor)
        fraction_bits, mantissa_bits = network.sum_fraction_bits, network.mantissa_bits

        # 1: the log, and its rounding as the sum's carry.
        log = self.weight_log
        if network.weight.log_max < network.weight.code_max:
            log = Mux(log > network.weight.log_max, Const(network.weight.log_max, log.shape()), log)
        cut, _, first = _rounding(network)
        carry = log[:cut] >= first if cut else Const(0)
        total = Signal(signed(max(len(self.x), len(log) - cut) + 1))
        lows = Cat(Const(1, 1), self.x).as_signed() + Cat(carry, log[cut:]).as_signed()
        m.d.comb += total.eq(lows[1:].as_signed())
        is_low = log < first_weight(network) if first_weight(network) is not None else None
        stages.boundary()
        total = stages.register(total, name="log")
        sign = stages.register(self.sign ^ self.weight_sign, name="sign")
        if is_low is not None:
            is_low = stages.register(is_low, name="is_low")

        # 2: mantissa, and all but the last two bits of the shift.
        amount_bits = fraction_bits.bit_length()
        remainder, octave = total[:remainder_bits], total[remainder_bits:].as_signed()
        early_bits = max(amount_bits - _LAST_BITS, 0)
        table_bits = min(early_bits, 1)
        mantissa = [int(entry) for entry in antilog_table(network.base_factor, mantissa_bits)[:-1]]
        entries = [entry << shift for shift in range(1 << table_bits) for entry in mantissa]
        width = mantissa_bits + (1 << table_bits)
        value = logic_table(m, entries, Cat(remainder, octave[:table_bits]), width, "mantissa")
        value = value ^ sign.replicate(width)
        value = shift_left(value, octave, table_bits, early_bits, sign)
        last = LastShift(
            value_bits=len(value),
            amount_bits=amount_bits - early_bits,
            unit_log=early_bits,
            drop=mantissa_bits,
            width=fraction_bits + 1,
        )
        # The last shift by an amount that no bit has leaves the sign everywhere: 0 as well.
        upper = octave[early_bits:]
        is_none = octave[-1] if is_low is None else octave[-1] | is_low
        if last.is_coded:
            if is_low is not None:
                upper = Mux(is_low, -1, upper.as_signed())[: len(upper)]
            code = last.codes(m, upper, sign, Const(0), "code")
        else:
            code, sign = Cat(upper[: last.amount_bits], is_none), sign & ~is_none
        stages.boundary()
        code = stages.register(code, name="code")
        value = stages.register(value, name="value")
        sign = stages.register(sign, name="sign")

        # 3: the last shift.
        bits = last.bits(code, value, sign)
        stages.boundary()
        m.d.comb += [
            self.addend.eq(stages.register(bits, name="addend")),
            self.carry.eq(stages.register(sign, name="carry")),
        ]
        return m


def _rounding(network: NetworkConfig) -> tuple[int, int, int]:
    """``(cut, constant, first)``: a kept log's bits below a step of the forward format, and what makes
    ``(log >> cut) + (log's cut bits >= first) + constant`` its distance from the top, negated and rounded."""
    ratio = int(network.weight.base_factor) // network.base_factor
    constant, rest = divmod((ratio >> 1) - network.weight.log_max, ratio)
    return octave_bits(ratio), constant, ratio - rest


def first_weight(network: NetworkConfig) -> int | None:
    """The least kept log whose forward weight is not zero; None where those below have products of 0 anyway."""
    fmt = network.forward_weight
    beyond = fmt.log_max - fmt.log_min + 1
    if network.base_factor * network.sum_fraction_bits - beyond < 0:
        return None
    # n = floor((top - log + (ratio - 1) / 2) / ratio), of which beyond is the first that is zero.
    ratio = int(network.weight.base_factor) // network.base_factor
    return network.weight.log_max - ratio * (beyond - 1) - (ratio >> 1)


def _constant(network: NetworkConfig, fmt: LNSFormat) -> int:
    return network.base_factor * network.sum_fraction_bits - fmt.log_max + _rounding(network)[1]


def prepared_zero(network: NetworkConfig) -> int:
    """The operand that makes every product 0."""
    cut, constant, _ = _rounding(network)
    most = (network.weight.code_max >> cut) + 1
    plain = [_constant(network, fmt) + fmt.zero_log for fmt in (network.activation, network.delta)]
    return min(-most - 1, *plain)


def operand_bits(network: NetworkConfig) -> int:
    """Bits of a prepared operand."""
    formats = (network.activation, network.delta)
    return signed_bits(prepared_zero(network), *(_constant(network, fmt) + fmt.code_max for fmt in formats))


def prepare(network: NetworkConfig, log: Value, fmt: LNSFormat) -> Value:
    """The operand of a word's log, for a signal of :func:`operand_bits`; ``fmt``: of activations or of deltas."""
    constant = _constant(network, fmt)
    zero = prepared_zero(network)
    plain = log.as_signed() + constant
    return plain if zero == constant + fmt.zero_log else Mux(is_zero_log(log), zero, plain)
