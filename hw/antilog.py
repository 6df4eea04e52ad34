"""Mantissas of remainders, and shifts of a magnitude whose sign turns it into a one's complement."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory as BlockMemory

from lnsmadam.golden.antilog import antilog_table
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.hw.pipeline import Pipeline
from lnsmadam.hw.tables import logic_table

#: Address and data of one iCE40 block RAM: shifts go into it while they fit.
_RAM_ADDRESS, _RAM_DATA = 8, 16


def shifts_in_block(config: DotConfig) -> int:
    """How many of a shift's bits the block RAM's address holds, beside the remainder and the sign."""
    bits = max(config.quotient_bits - 2, 0)
    return max(
        (
            s
            for s in range(bits + 1)
            if config.remainder_bits + s + 1 <= _RAM_ADDRESS and config.mantissa_bits + (1 << s) <= _RAM_DATA
        ),
        default=0,
    )


def shifted_entries(config: DotConfig, shifts: int) -> list[int]:
    """Mantissas shifted left by 0 to ``2**shifts - 1``; the remainder is in the address's low bits."""
    return [int(entry) << shift for shift in range(1 << shifts) for entry in config.mantissas]


def block_table(m: Module, pipeline: Pipeline, config: DotConfig, name: str, remainder, low_shift, sign):
    """One's complements where ``sign`` is 1, of mantissas shifted by ``low_shift``."""
    width = config.mantissa_bits + (1 << len(low_shift))
    plain = shifted_entries(config, len(low_shift))
    inverted = [entry ^ ((1 << width) - 1) for entry in plain]
    memory = BlockMemory(shape=unsigned(width), depth=2 * len(plain), init=plain + inverted)
    memory.attrs["ram_style"] = "block"
    m.submodules[name] = memory
    port = memory.read_port()
    m.d.comb += [port.addr.eq(Cat(remainder, low_shift, sign)), port.en.eq(pipeline.advance)]
    return port.data


def chord_ends(m: Module, config: DotConfig, remainder, name: str):
    """``(start, end - start)`` of a remainder's chord."""
    ends = [int(end) for end in antilog_table(1 << config.chord_bits, config.mantissa_bits)]
    rises = [after - before for before, after in zip(ends, ends[1:], strict=False)]
    address = remainder[config.remainder_bits - config.chord_bits :]
    start = logic_table(m, ends[:-1], address, config.mantissa_bits + 1, f"{name}_start")
    return start, logic_table(m, rises, address, max(rises).bit_length(), f"{name}_rise")


def on_chord(start, rise, t) -> Value:
    """``start + rise * t`` with t a fraction, truncated."""
    return (start + ((rise * t) >> len(t)))[: len(start)]


def mantissa_table(m: Module, config: DotConfig, remainder, shift, name: str):
    """Mantissas shifted by the bits of ``shift``: a bit of the table and the first shift share a LUT."""
    width = config.mantissa_bits + (1 << len(shift))
    return logic_table(m, shifted_entries(config, len(shift)), Cat(remainder, shift), width, name)


def shift_left(value, amount, start: int, stop: int, fill) -> Value:
    """``value`` shifted left by the bits ``start`` to ``stop - 1`` of ``amount``, whose vacant bits are ``fill``."""
    for index in range(start, stop):
        pad, bit = fill.replicate(1 << index), amount[index]
        value = Mux(bit, Cat(pad, value), Cat(value, pad))
    return value


class LastShift:
    """A left shift by 0 to 3 units of ``2**unit_log`` bits, of which bits from ``drop`` to ``drop + width`` are kept.

    A kept bit has at most two sources, a unit apart, where ``value`` is no wider than two units: then each is one
    LUT of both sources and a code, {first, second, 0, 1}, of its group of bits. Zero is a code as well.
    """

    def __init__(self, *, value_bits: int, amount_bits: int, unit_log: int, drop: int, width: int):
        self.value_bits, self.amount_bits, self.unit = value_bits, amount_bits, 1 << unit_log
        self.drop, self.width = drop, width
        #: Multiples of the unit that reach each kept bit.
        self.sources = [
            tuple(k for k in range(1 << amount_bits) if 0 <= bit + drop - k * self.unit < value_bits)
            for bit in range(width)
        ]
        self.is_coded = all(len(sources) <= 2 for sources in self.sources)
        #: Groups of bits with the same code: every pair that occurs, and singles where no pair has them.
        self.groups: list[tuple[int, ...]] = []
        for sources in sorted(set(self.sources), key=len, reverse=True):
            if sources and not any(set(sources) <= set(group) for group in self.groups):
                self.groups.append(sources)

    def codes(self, m: Module, amount, sign, is_zero, name: str) -> Signal:
        """What the bits need to know, to be registered in front of :meth:`bits`."""
        code = Signal(2 * len(self.groups) if self.is_coded else self.amount_bits + 1, name=name)
        if not self.is_coded:
            m.d.comb += code.eq(Cat(amount, is_zero))
            return code
        for number, group in enumerate(self.groups):
            part = code[2 * number : 2 * number + 2]
            m.d.comb += part.eq(Cat(sign & ~is_zero, 1))
            for place, k in enumerate(group):
                with m.If((amount == k) & ~is_zero):
                    m.d.comb += part.eq(place)
        return code

    @property
    def zero_code(self) -> int:
        """The code that makes all bits 0 whatever they are."""
        return sum(2 << 2 * number for number in range(len(self.groups))) if self.is_coded else 1 << self.amount_bits

    def bits(self, code, value, sign) -> Value:
        """The kept bits; vacant ones are ``sign``, which must be 0 with zero."""

        def source(bit: int, k: int):
            index = bit + self.drop - k * self.unit
            return value[index] if 0 <= index < self.value_bits else sign

        out: list[Value] = []
        for bit, sources in enumerate(self.sources):
            if not sources:
                out.append(sign)
            elif self.is_coded:
                number = next(n for n, group in enumerate(self.groups) if set(sources) <= set(group))
                a, b = (source(bit, k) for k in (self.groups[number] * 2)[:2])
                low, high = code[2 * number], code[2 * number + 1]
                out.append(Mux(high, low, Mux(low, b, a)))
            else:
                amount, is_zero = code[:-1], code[-1]
                chosen = Array(source(bit, k) for k in range(1 << self.amount_bits))[amount]
                out.append(Mux(is_zero, Const(0, 1), chosen))
        return Cat(out)
