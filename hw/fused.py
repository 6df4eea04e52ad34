"""The datapath of a fused floating-point multiply-add.

A window of ``3p + 6`` bits (p: the precision with the leading one) holds both terms: the product at a fixed place
of it, c shifted right from the top, what it loses kept in one sticky bit. Bits of the window, from the top::

    0 | c at shift 0: p bits | 2 | product: 2p bits | guard, round, sticky

Its top bit is always 0, so that the shift that normalises is at most the window's biased exponent: a result is
subnormal where that limit stops the shift.

Three things make it small. The product's rows are conditional adds, whose AND is in the carry chain's own LUT. For
a difference, ``c - product - 1`` is formed, without a carry in: of a negative one the magnitude is its inverse,
which the first level of the shifter takes along; of a positive one it lacks one, which the rounding adds. The
exponent and the mantissa are rounded as one integer, the leading one being added to the exponent.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from lnsmadam.golden.fused import FusedConfig
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.pipeline import Pipeline, UnitComponent


def named(m: Module, value, name: str) -> Signal:
    """``value`` as a signal: one copy of it where it is used often."""
    signal = Signal.like(Value.cast(value), name=name)
    m.d.comb += signal.eq(value)
    return signal


def exponent_of(word, is_zero_exponent):
    """The biased exponent of a word's last bit: that of subnormal numbers is 1."""
    return Cat(word.exponent[0] | is_zero_exponent, word.exponent[1:])


def conditional_rows(m: Module, total, a, b, first: int):
    """Two rows of ``a * b``, added to ``total``: one conditional add for each of two bits of b from ``first`` on.

    ``total`` has its last ``first`` bits final. A row is ``bit ? total + a : total``: four inputs a bit, with the
    carry.
    """
    for index in (first, first + 1):
        if index >= len(b):
            break
        if index == 0:
            total = named(m, a & b[0].replicate(len(a)), "row_0")
            continue
        upper = total[index:]
        added = named(m, upper + a, f"added_{index}")
        kept = Mux(b[index], added[: len(a)], Cat(upper, 0)[: len(a)])
        total = named(m, Cat(total[:index], kept, added[len(a)] & b[index]), f"row_{index}")
    return total


class FusedMultiplyAdd(UnitComponent):
    """Base of the units that are one fused multiply-add; a subclass names the operands.

    Computes ``c + a * b``, or ``c - a * b`` where :attr:`subtract` is set, rounded once to the nearest, ties to
    even. Subnormal numbers, infinities, NaN and signed zeros as IEEE 754 has them, with one canonical NaN. One
    result per cycle, at ``o`` :attr:`latency` cycles after its operands, later if ``o`` stalls.
    """

    config: FusedConfig
    subtract = False

    def operands(self):
        """The words a, b and c of the transfer at ``i``."""
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        fmt = self.config.float_format
        bits, precision = fmt.mantissa_bits, fmt.mantissa_bits + 1
        pipeline = Pipeline(m, self)
        a, b, c = self.operands()

        zero_exponent = [
            named(m, ~x.exponent.any(), f"zero_exponent_{n}") for x, n in zip((a, b, c), "abc", strict=True)
        ]
        zero_mantissa = [
            named(m, ~x.mantissa.any(), f"zero_mantissa_{n}") for x, n in zip((a, b, c), "abc", strict=True)
        ]
        top_exponent = [named(m, x.exponent.all(), f"top_exponent_{n}") for x, n in zip((a, b, c), "abc", strict=True)]
        infinite = [t & z for t, z in zip(top_exponent, zero_mantissa, strict=True)]
        zero = [e & z for e, z in zip(zero_exponent, zero_mantissa, strict=True)]
        a_int, b_int, c_int = (Cat(x.mantissa, ~is_zero) for x, is_zero in zip((a, b, c), zero_exponent, strict=True))
        exponent_a, exponent_b, exponent_c = (exponent_of(x, z) for x, z in zip((a, b, c), zero_exponent, strict=True))

        def held(**values):
            return {name: pipeline.register(Value.cast(value), name=name) for name, value in values.items()}

        # Boundaries: the product's rows, two at a time, beside the exponents.
        sign_product = a.sign ^ b.sign ^ int(self.subtract)
        any_nan = (
            (top_exponent[0] & ~zero_mantissa[0])
            | (top_exponent[1] & ~zero_mantissa[1])
            | (top_exponent[2] & ~zero_mantissa[2])
            | (infinite[0] & zero[1])
            | (infinite[1] & zero[0])
        )
        state = {
            "a": a_int,
            "b": b_int,
            "c": c_int,
            "exponent_c": exponent_c,
            "exponent": exponent_a + exponent_b,
            "product_is_zero": zero[0] | zero[1],
            "sign": sign_product,
            "subtract": sign_product ^ c.sign,
            "is_nan": any_nan,
            "product_infinite": infinite[0] | infinite[1],
            "c_infinite": infinite[2],
        }
        is_hard = self.config.hard_multiplier
        if not is_hard:
            state["product"] = conditional_rows(m, None, a_int, b_int, 0)
        pipeline.boundary()
        state = held(**state)

        def add_rows(first):
            """Multiplies by two more bits of b."""
            if not is_hard:
                state["product"] = conditional_rows(m, state["product"], state["a"], state["b"], first)

        if is_hard:
            state["product"] = state.pop("a") * state.pop("b")
        # Of the window's top: where c stands at shift 0.
        bias = fmt.bias + bits - 2 * precision - 2
        state["exponent"] = (state["exponent"] - bias).as_signed()
        add_rows(2)
        state["is_nan"] = state["is_nan"] | (state["product_infinite"] & state["c_infinite"] & state["subtract"])
        state["is_special"] = state["is_nan"] | state["product_infinite"] | state["c_infinite"]
        # Below: whether the result takes c's sign though the signs differ.
        state["c_infinite"] = state["c_infinite"] & ~state["product_infinite"]
        del state["product_infinite"]
        pipeline.boundary()
        state = held(**state)

        # All distances fit the bits of the largest.
        farthest = 2 * fmt.exponent_max - bias
        distance = state["exponent"] - state["exponent_c"]
        state["distance"] = distance[: signed_bits(farthest, -bias - fmt.exponent_max)].as_signed()
        add_rows(4)
        pipeline.boundary()
        state = held(**state)

        window = 3 * precision + 6
        shift_bits = (window - 2).bit_length()
        distance = state.pop("distance")
        is_c_above = named(m, distance[-1] | state.pop("product_is_zero"), "is_c_above")
        is_c_below = named(m, distance[shift_bits:-1].any(), "is_c_below")
        shift = (distance[:shift_bits] | is_c_below.replicate(shift_bits)) & ~is_c_above.replicate(shift_bits)
        state["shift"] = shift
        # The normalising shift is below the window's bits; it may be more than a short exponent can limit.
        levels = (window - 1).bit_length()
        exponent_bits = max(signed_bits(2 * fmt.exponent_max) - 1, levels)
        exponent = Signal(exponent_bits)
        m.d.comb += exponent.eq(Mux(is_c_above, state.pop("exponent_c"), state["exponent"][:exponent_bits]))
        state["exponent"] = exponent
        add_rows(6)
        for first in range(8, precision, 2):
            add_rows(first)
        if not is_hard:
            del state["a"], state["b"]
        pipeline.boundary()
        state = held(**state)

        # c shifted right by the shift's low bits, most significant bit first from here on.
        low_bits = (precision - 1).bit_length()
        shift = state.pop("shift")
        shifted = list(reversed(list(state.pop("c"))))
        for level in range(low_bits):
            step = 1 << level
            padded = [*shifted, *[0] * step]
            moved = [*[0] * step, *shifted]
            shifted = list(named(m, Mux(shift[level], Cat(*moved), Cat(*padded)), f"shifted_{level}"))
        state["shifted"] = Cat(*shifted)
        state["octet"] = shift[low_bits:]
        state["product"] = state["product"] ^ state["subtract"].replicate(2 * precision)
        pipeline.boundary()
        state = held(**state)

        # And by the rest, where at most two bits of it can reach a place.
        shifted, octet, step = state.pop("shifted"), state.pop("octet"), 1 << low_bits
        kept = window - 2
        aligned = []
        for place in range(kept):
            reach = [(octet == n) & shifted[place - n * step] for n in range(1 << len(octet))
                     if 0 <= place - n * step < len(shifted)]  # fmt: skip
            aligned.append(named(m, Cat(*reach).any(), f"aligned_{place}"))
        lost = []
        for n in range(1 << len(octet)):
            beyond = shifted[max(kept - n * step, 0) :]
            if len(beyond):
                lost.append((octet == n) & beyond.any())
        state["aligned"] = Cat(named(m, Cat(*lost).any(), "lost"), *reversed(aligned))
        pipeline.boundary()
        state = held(**state)

        subtract = state["subtract"]
        aligned = state.pop("aligned")
        placed = Cat(subtract.replicate(3), state.pop("product"), subtract.replicate(len(aligned) - 3 - 2 * precision))
        total = named(m, aligned + placed, "total")
        # The carry out tells whether c is greater; without a subtraction there is none.
        state["is_c_greater"] = total[-1]
        state["sum"] = total[:-1]
        pipeline.boundary()
        state = held(**state)

        # Window's top bit last removed: 0 | sum.
        is_c_greater = state.pop("is_c_greater")
        inverted = named(m, state["subtract"] & ~is_c_greater, "inverted")
        lacks_one = state["lacks_one"] = is_c_greater
        takes_c = Mux(state["is_special"], state.pop("c_infinite"), is_c_greater)
        state["sign"] = state["sign"] ^ (state["subtract"] & takes_c)
        # Most significant first.
        raw = [0, *reversed(list(state.pop("sum")))]
        limit = state["exponent"]
        needed = precision + 1
        top = levels - 1
        step = 1 << top
        is_free = limit[levels:].any()
        differs = Cat(*[bit ^ inverted for bit in raw[1:step]]).any()
        can = named(m, ~differs & (is_free | limit[top]), "can_top")
        is_free = is_free | (limit[top] & differs)
        count = needed + step - 1

        def digit(place):
            """A bit of the magnitude, from the top; below the window, what carries the missing one up."""
            if place == 0:
                return Const(0)
            return raw[place] ^ inverted if place < window else lacks_one

        first_level = []
        for place in range(count):
            first_level.append(named(m, Mux(can, digit(place + step), digit(place)), f"normal_{top}_{place}"))
        rest = raw[count:]
        sticky = ~can & Cat(*[bit ^ inverted ^ lacks_one for bit in rest]).any() if rest else Const(0)
        state |= {"normal": Cat(*first_level), "sticky": sticky, "is_free": is_free}
        state["shift"] = can
        pipeline.boundary()
        state = held(**state)

        def normalise(level):
            step = 1 << level
            normal, lacks_one = state["normal"], state["lacks_one"]
            differs = normal[:step].any()
            can = named(m, ~differs & (state["is_free"] | state["exponent"][level]), f"can_{level}")
            state["is_free"] = state["is_free"] | (state["exponent"][level] & differs)
            count = needed + step - 1
            lost = Cat(*[bit ^ lacks_one for bit in normal[count:]]).any()
            state["sticky"] = state["sticky"] | (~can & lost)
            state["normal"] = named(m, Mux(can, normal[step : step + count], normal[:count]), f"normal_{level}")
            state["shift"] = Cat(can, state["shift"])

        remaining = list(range(top - 1, -1, -1))
        groups = [remaining[:-3], remaining[-3:-2], remaining[-2:]]
        for group in groups:
            for level in group:
                normalise(level)
            if group is groups[-1]:
                del state["is_free"]
                normal, lacks_one = state.pop("normal"), state.pop("lacks_one")
                sticky = state.pop("sticky")
                mantissa, guard = normal[:-1], normal[-1]
                last = mantissa[-1]
                # What lacks one in its last place carries where all that is below the guard bit are ones.
                state["increment"] = Mux(lacks_one & ~sticky, guard | last, guard & (sticky | last))
                state["mantissa"] = Cat(*reversed(list(mantissa)))
                state["is_zero"] = state.pop("subtract") & ~lacks_one & ~(normal.any() | sticky | state["is_special"])
            pipeline.boundary()
            state = held(**state)

        exponent = named(m, state.pop("exponent") - state.pop("shift"), "exponent_left")[:exponent_bits]
        mantissa = state.pop("mantissa")
        is_nan, is_special = state.pop("is_nan"), state.pop("is_special")
        overflows = exponent[fmt.exponent_bits :].any() | exponent[1 : fmt.exponent_bits].all()
        is_top = named(m, is_special | overflows, "is_top")
        rounded = named(
            m,
            Cat(mantissa[:bits], exponent[: fmt.exponent_bits]) + (mantissa[bits] << bits) + state["increment"],
            "rounded",
        )
        sign = named(m, state["sign"] & ~is_nan, "sign_out")
        mantissa_out = (rounded[:bits] & ~is_top.replicate(bits)) | (is_nan << (bits - 1))
        exponent_out = rounded[bits : bits + fmt.exponent_bits] | is_top.replicate(fmt.exponent_bits)
        pipeline.boundary()
        # After exact cancellation the exponent is whatever the shifter left of it.
        result = pipeline.register(
            Cat(mantissa_out[:bits], exponent_out, sign), name="result", force=[(state["is_zero"], 0)]
        )
        pipeline.finish(result=result)
        return m
