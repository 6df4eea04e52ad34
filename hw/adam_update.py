"""The Adam update with bfloat16 weights, one weight per clock.

Moments are float sums of two terms: exponents compared, the smaller term shifted, the sum normalised and rounded.
Root and quotient are non-restoring: a digit is the sign of the remainder, and decides whether the next divisor is
added or subtracted, so that no step needs a multiplexer of remainders. The product with the rate goes from its
lowest bit up and drops what falls out below, which is exactly what cutting the whole product leaves.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned

from lnsmadam.golden.adam_update import GUARD_BITS, AdamUpdateConfig
from lnsmadam.golden.floats import BFLOAT16
from lnsmadam.hw.adders import sum_with
from lnsmadam.hw.pipeline import Pipeline, UnitComponent
from lnsmadam.hw.tables import logic_table

# Exponents run from -382 (a square's) to 508 (a step's); their differences from -763 to 636.
_EXPONENT = signed(11)


def leading_zeros(value) -> Value:
    """Zeros above the highest one; for 0 any number."""
    bits = (len(value) - 1).bit_length()

    def count(part, level):
        half = len(part) // 2
        is_low = ~part[half:].any()
        if level == 1:
            return is_low
        return Cat(Mux(is_low, count(part[:half], level - 1), count(part[half:], level - 1)), is_low)

    spare = (1 << bits) - len(value)
    return count(Cat(Const((1 << spare) - 1, spare), value), bits)


class AdamUpdate(UnitComponent):
    """Moves a bfloat16 weight against its mean gradient, divided by the gradient's RMS.

    Computes :func:`lnsmadam.golden.adam_update.adam_update`, bit for bit; its docstring has the formula, the error
    bound and the corner cases. One weight per cycle; a result appears at ``o`` :attr:`latency` cycles after its
    operands are accepted at ``i``, later if ``o`` stalls.
    """

    config: AdamUpdateConfig

    def elaborate(self, platform):
        m = self._m = Module()
        self._pipeline = Pipeline(m, self, self._registered())
        # Values on their way to a later stage; every boundary takes them along.
        self._live = {}
        self._moments()
        self._root()
        self._divisor()
        self._quotient()
        self._product()
        self._weight()
        return m

    def _registered(self) -> frozenset[int] | None:
        """The boundaries that hold a register: two digits a stage, and two short sums, before that is too few."""
        config = self.config
        left_out = config.max_pipeline - config.pipeline
        root, bits = 10, config.ratio_bits
        quotient, product, weight = root + bits + 3, root + 2 * bits + 4, root + 2 * bits + 11
        order = [
            *range(root + 1, root + bits - 1, 2),
            *range(quotient + 1, product - 1, 2),
            *range(product + 1, weight, 2),
        ]
        order += [5, weight + 2]
        if left_out > len(order):
            return None
        return frozenset(range(1, config.max_pipeline + 1)) - set(order[:left_out])

    def _boundary(self) -> None:
        """Begins the next boundary and takes along what is live."""
        self._pipeline.boundary()
        for name, value in self._live.items():
            self._live[name] = self._pipeline.register(value, name=name)

    def _value(self, value, name: str, shape=None) -> Signal:
        """``value``, cut or extended to a shape, as a named signal."""
        signal = Signal(Value.cast(value).shape() if shape is None else shape, name=f"{name}_in")
        self._m.d.comb += signal.eq(value)
        return signal

    def _register(self, value, name: str, shape=None, force=()) -> Signal:
        return self._pipeline.register(self._value(value, name, shape), name=name, force=force)

    @staticmethod
    def _away(distance, bits: int) -> Value:
        """The distance's magnitude, or the largest number of so many bits if it is beyond."""
        magnitude = Mux(distance[-1], -distance, distance)[: len(distance)]
        return Mux(magnitude[bits:].any(), Const((1 << bits) - 1, bits), magnitude[:bits])

    def _moments(self) -> None:
        """1 to 9: both moments, and what is needed later of the other operands."""
        config, fields, live = self.config, self.i.payload, self._live
        formats = {"m": config.m_format, "v": config.v_format}
        shifts = {"m": config.beta1_shift, "v": config.beta2_shift}
        old = {"m": fields.m, "v": fields.v}
        width = {name: fmt.mantissa_bits + 1 + GUARD_BITS for name, fmt in formats.items()}
        away_bits = {name: bits.bit_length() for name, bits in width.items()}

        # 1: fields. A zero gradient, or one to leave out, has significand 0; so have subnormals.
        floats = [getattr(fields, name) for name in config.inputs]
        is_invalid = self._value(Cat(operand.exponent.all() for operand in floats).any(), "is_invalid")
        is_grad_zero = is_invalid | ~fields.grad.exponent.any()
        live["weight"] = Value.cast(fields.weight)
        live["rate"] = Value.cast(fields.lr)
        live["epsilon"] = Value.cast(fields.epsilon)[:-1]
        live["is_invalid"] = is_invalid
        live["grad_sign"], live["m_sign"] = fields.grad.sign, fields.m.sign
        self._boundary()
        grad_exponent = self._register(fields.grad.exponent, "grad_exponent")
        mantissa = self._register(fields.grad.mantissa, "grad_mantissa", force=[(is_grad_zero, 0)])
        has_grad = self._register(~is_grad_zero, "has_grad")
        exponent, whole, part = {}, {}, {}
        for name in formats:
            bits = Cat(old[name].mantissa, 1)
            is_zero = ~old[name].exponent.any()
            exponent[name] = self._register(old[name].exponent, f"{name}_exponent")
            whole[name] = self._register(bits, f"{name}_whole", force=[(is_zero, 0)])
            cut = max(shifts[name] - GUARD_BITS, 0)
            part[name] = self._register(bits[cut:], f"{name}_part", force=[(is_zero | is_invalid, 0)])

        # 2: the decayed moments, the distances of the exponents, the square's parts: with the mantissa 16 h + l
        # it is 2**14 + 256 (16 h + h**2 + l) + l**2 + 32 h l.
        low, high = mantissa[:4], mantissa[4:]
        squares = logic_table(self._m, [part * part for part in range(16)], low, 8, "low_square")
        upper = logic_table(self._m, [64 + 16 * part + part * part for part in range(8)], high, 8, "high_square")
        upper = self._value(upper + low, "square_upper", 8)
        cross = self._value(
            Mux(high[0], low, 0) + (Mux(high[1], low, 0) << 1) + (Mux(high[2], low, 0) << 2), "square_cross", 7
        )
        new_exponent = {
            "m": grad_exponent - config.beta1_shift,
            "v": (grad_exponent << 1) - (BFLOAT16.bias - 1 + config.beta2_shift),
        }
        distance = {
            name: self._value(exponent[name] - new_exponent[name], f"{name}_distance", _EXPONENT) for name in formats
        }
        decayed = {
            name: self._value(
                (whole[name] << GUARD_BITS) - (part[name] << max(GUARD_BITS - shifts[name], 0)),
                f"{name}_decayed",
                unsigned(width[name]),
            )
            for name in formats
        }
        for name in formats:
            live[f"{name}_base"] = exponent[name]
        live["significand"] = Cat(mantissa, has_grad)
        live["grad_exponent"] = grad_exponent
        self._boundary()
        square_low = self._register(squares, "square_low")
        square_upper = self._register(upper, "square_upper", force=[(~has_grad, 0)])
        cross = self._register(cross, "square_cross")
        distance = {name: self._register(distance[name], f"{name}_distance") for name in formats}
        decayed = {name: self._register(decayed[name], f"{name}_decayed") for name in formats}

        # 3: the square, and how far the smaller term moves.
        square = self._value(Cat(square_low, square_upper) + (cross << 5), "square", 16)
        is_grad = {name: distance[name][-1] & live["significand"][-1] for name in formats}
        away = {name: self._value(self._away(distance[name], away_bits[name]), f"{name}_away") for name in formats}
        grad_exponent, significand = live.pop("grad_exponent"), live.pop("significand")
        live["m_base"] = self._value(
            Mux(is_grad["m"], grad_exponent - config.beta1_shift, live["m_base"]), "m_base", _EXPONENT
        )
        live["v_base"] = self._value(
            Mux(is_grad["v"], (grad_exponent << 1) - (BFLOAT16.bias - 1 + config.beta2_shift), live["v_base"]),
            "v_base",
            _EXPONENT,
        )
        live["m_flip"] = live["m_sign"] ^ live["grad_sign"]
        live["m_sign"] = Mux(is_grad["m"], live.pop("grad_sign"), live["m_sign"])
        new = {"m": significand << (width["m"] - 8), "v": square << (width["v"] - 16)}
        big = {name: self._value(Mux(is_grad[name], new[name], decayed[name]), f"{name}_big") for name in formats}
        small = {name: self._value(Mux(is_grad[name], decayed[name], new[name]), f"{name}_small") for name in formats}
        for name in formats:
            live[f"{name}_big"] = big[name]
        self._boundary()
        small = {name: self._register(small[name], f"{name}_small") for name in formats}
        away = {name: self._register(away[name], f"{name}_away") for name in formats}

        # 4, 5: the smaller term moves, by the distance's upper bits and by its lower two.
        small = {name: self._value(small[name] >> (away[name][2:] << 2), f"{name}_small") for name in formats}
        for name in formats:
            live[f"{name}_away"] = away[name][:2]
        self._boundary()
        small = {name: self._register(small[name], f"{name}_small") for name in formats}
        small = {name: self._value(small[name] >> live.pop(f"{name}_away"), f"{name}_small") for name in formats}
        self._boundary()
        small = {name: self._register(small[name], f"{name}_small") for name in formats}

        # 6: sums.
        m_big, v_big = live.pop("m_big"), live.pop("v_big")
        flip = live.pop("m_flip")
        flipped = Cat(small["m"], Const(0, 2)) ^ flip.replicate(width["m"] + 2)
        m_total = self._value(sum_with(Cat(m_big, Const(0, 2)), flipped, flip), "m_total", signed(width["m"] + 2))
        v_total = self._value(v_big + small["v"], "v_total", unsigned(width["v"] + 1))
        self._boundary()
        m_total = self._register(m_total, "m_total")
        v_total = self._register(v_total, "v_total")

        # 7: the mean's magnitude; the mean square in its octave.
        is_minus = m_total[-1]
        m_total = self._value((m_total[:-1] ^ is_minus.replicate(width["m"] + 1)) + is_minus, "m_total", width["m"] + 1)
        live["m_sign"] = live["m_sign"] ^ is_minus
        v_left = Mux(v_total[-1], 0, Mux(v_total[-2], 1, 2))
        live["v_exponent"] = self._value(live.pop("v_base") + 1 - v_left, "v_exponent", _EXPONENT)
        v_total = self._value(
            Mux(v_total[-1], v_total, Mux(v_total[-2], v_total << 1, v_total << 2)), "v_total", width["v"] + 1
        )
        self._boundary()
        m_total = self._register(m_total, "m_total")
        v_total = self._register(v_total, "v_total")

        # 8: the mean in its octave; the mean square rounded.
        left = self._value(leading_zeros(m_total), "m_left")
        live["m_exponent"] = self._value(live.pop("m_base") + 1 - left, "m_exponent", _EXPONENT)
        m_total = self._value(m_total << left, "m_total", width["m"] + 1)
        v_word = self._value(self._rounded(v_total, live.pop("v_exponent")), "v_word")
        self._boundary()
        m_total = self._register(m_total, "m_total")
        v_word = self._register(v_word, "v_word")

        # 9: the mean rounded; both within their ranges.
        m_word = self._value(self._rounded(m_total, live.pop("m_exponent")), "m_word")
        fmt = config.m_format
        m_exponent = m_word[fmt.mantissa_bits :].as_signed()
        is_m_zero = (m_exponent <= 0) | ~m_total[-1]
        sign, is_invalid = live.pop("m_sign"), live["is_invalid"]
        self._boundary()
        live["m"] = Cat(
            self._register(m_word[: fmt.width - 1], "m", force=[(is_m_zero, 0)]),
            self._register(sign, "m_sign", force=[(is_m_zero, 0)]),
        )
        fmt = config.v_format
        v_exponent = v_word[fmt.mantissa_bits :].as_signed()
        live["v"] = self._register(
            v_word[: fmt.width - 1],
            "v",
            force=[(v_exponent <= 0, 0), ((v_exponent >= 255) & ~is_invalid, fmt.max_word)],
        )

    @staticmethod
    def _rounded(total, exponent) -> Value:
        """Mantissa below exponent, of a sum in its octave: half a unit is added, a carry goes into the exponent."""
        return (Cat(total[GUARD_BITS:-1], exponent) + 1)[1 : len(total) - 1 - GUARD_BITS + len(exponent)]

    def _root(self) -> None:
        """The root, one digit a boundary. An odd biased exponent is an even power of two."""
        config, live, bits = self.config, self._live, self.config.ratio_bits
        mantissa_bits = config.v_format.mantissa_bits
        exponent = live["v"][mantissa_bits:]
        is_zero = ~exponent.any()
        significand = Cat(live["v"][:mantissa_bits], 1)
        up = 2 * bits - 1 - mantissa_bits
        radicand = Cat(Const(0, up), significand) if up >= 0 else significand[-up:]
        radicand = Mux(exponent[0], radicand[1:], radicand)
        root_exponent = self._value((exponent >> 1) + exponent[0] + 63, "root_exponent", 8)
        # The first digit is one.
        remainder = self._value(radicand[-2:] - 1, "root_remainder", signed(3))
        digits = Const(1, 1)
        live["radicand"] = self._value(radicand[:-2], "radicand", 2 * bits - 2)
        self._boundary()
        live["root_exponent"] = self._register(root_exponent, "root_exponent", force=[(is_zero, 0)])
        for place in range(1, bits):
            if place == 1:
                remainder = self._register(remainder, "root_remainder")
            rest = live.pop("radicand")
            # 4 r - (4 q + 1) while r is not negative, else 4 r + (4 q + 3): the low bits added are 11 in both.
            added = Cat(Const(3, 2), digits ^ (~remainder[-1]).replicate(place), ~remainder[-1]).as_signed()
            total = self._value(Cat(rest[-2:], remainder).as_signed() + added, "root_remainder", signed(place + 3))
            digits = Cat(~total[-1], digits)
            if len(rest) > 2:
                live["radicand"] = rest[:-2]
            live["root"] = digits
            self._boundary()
            digits = live["root"]
            remainder = self._register(total, "root_remainder")

    def _divisor(self) -> None:
        """Three boundaries: root + epsilon, in its octave; beside it the exponent."""
        config, live, bits = self.config, self._live, self.config.ratio_bits
        epsilon = live.pop("epsilon")
        epsilon_exponent = epsilon[7:]
        distance = self._value(live["root_exponent"] - epsilon_exponent, "root_distance", signed(9))
        has_epsilon, has_root = epsilon_exponent.any(), live["root_exponent"].any()
        live["divisor_exponent"] = self._value(
            Mux(distance[-1], epsilon_exponent, live.pop("root_exponent")), "divisor_exponent", 8
        )
        root = live.pop("root")
        self._boundary()
        epsilon = self._register(Cat(Const(0, bits - 8), epsilon[:7], 1), "epsilon", force=[(~has_epsilon, 0)])
        root = self._register(root, "root", force=[(~has_root, 0)])
        distance = self._register(distance, "root_distance")

        live["big"] = self._value(Mux(distance[-1], epsilon, root), "divisor_big")
        small = Mux(distance[-1], root, epsilon)
        small = self._value(small >> self._away(distance, bits.bit_length()), "divisor_small", bits)
        self._boundary()
        small = self._register(small, "divisor_small")

        total = self._value(live.pop("big") + small, "divisor_total", bits + 1)
        carry = total[-1]
        live["divisor"] = self._value(Mux(carry, total[1:], total[:-1]), "divisor", bits)
        mantissa_bits = config.m_format.mantissa_bits
        # The exponent of a zero mean is of no use, its quotient is zero.
        live["exponent"] = self._value(
            live["m"][mantissa_bits:-1] - live.pop("divisor_exponent") - carry, "ratio_exponent", _EXPONENT
        )
        self._boundary()

    def _quotient(self) -> None:
        """The quotient, one digit a boundary, and beside it the step's exponent and what follows from it."""
        config, live, bits = self.config, self._live, self.config.ratio_bits
        mantissa_bits = config.m_format.mantissa_bits
        has_mean = live["m"][mantissa_bits:-1].any()
        spare = mantissa_bits + 1 - bits
        significand = Cat(live["m"][:mantissa_bits] & has_mean.replicate(mantissa_bits), has_mean)
        dividend = significand[spare:] if spare >= 0 else Cat(Const(0, -spare), significand)
        remainder = None
        for place in range(bits + 1):
            divisor = live["divisor"]
            if remainder is None:
                total = self._value(dividend - divisor, "remainder", signed(bits + 1))
                digits = ~total[-1]
            else:
                is_positive = ~remainder[-1]
                added = Cat(divisor ^ is_positive.replicate(bits), is_positive)
                # Between -divisor and divisor, so that the doubled one's highest bit is not needed.
                doubled = Cat(Const(0, 1), remainder[:-1])
                total = self._value(sum_with(doubled, added, is_positive), "remainder", signed(bits + 1))
                digits = Cat(~total[-1], live["quotient"])
            live["quotient"] = digits
            if place == bits:
                # A divisor other than zero is in its octave.
                live["quotient"] = digits & live.pop("divisor")[-1].replicate(bits + 1)
            if place == 1:
                live["exponent"] = self._value(live["exponent"] + live["rate"][7:15], "step_exponent", _EXPONENT)
            self._boundary()
            remainder = self._register(total, "remainder")

    def _product(self) -> None:
        """The step's size, one bit of the rate a boundary."""
        live, bits = self._live, self.config.step_bits
        quotient = live["quotient"]
        rate = Mux(live["rate"][7:15].any() & ~live["is_invalid"], Cat(live["rate"][:7], 1), 0)
        live["flip"] = live["m"][-1] ^ live.pop("rate")[-1]
        live["factor"] = rate[1:]
        total = quotient & rate[0].replicate(len(quotient))
        for _ in range(7):
            factor = live.pop("factor")
            total = total[1:] + (live["quotient"] & factor[0].replicate(len(quotient)))
            total = self._value(total, "product", bits)
            if len(factor) > 1:
                live["factor"] = factor[1:]
            else:
                del live["quotient"]
                # Of the exponents, a subnormal weight's counted as 1.
                exponent = live["weight"][7:15]
                exponent = self._value(exponent | ~exponent.any(), "weight_exponent", 8)
                live["distance"] = self._value(exponent - live["exponent"], "step_distance", _EXPONENT)
            self._boundary()
            total = self._register(total, "product")
        live["step"] = total

    def _weight(self) -> None:
        """Seven boundaries: weight - step, rounded to nearest even."""
        config, live = self.config, self._live
        # 1: which is larger by its exponent. A step that is not zero has one of its upper three bits.
        step, weight = live.pop("step"), live.pop("weight")
        exponent, step_exponent = weight[7:15], live.pop("exponent")
        is_normal = exponent.any()
        exponent = self._value(exponent | ~is_normal, "weight_exponent", 8)
        distance = live.pop("distance")
        has_step = step[-3:].any()
        is_step = self._value(distance[-1] & has_step, "is_step")
        width = config.step_bits + 2
        wide = Cat(Const(0, config.ratio_bits - 5), weight[:7], is_normal, Const(0, 1))
        fine = Cat(Const(0, 2), step)
        flip, weight_sign = live.pop("flip"), weight[-1]
        live["big"] = self._value(Mux(is_step, fine, wide), "weight_big", width)
        small = self._value(Mux(is_step, wide, fine), "weight_small", width)
        away = self._value(self._away(distance, width.bit_length()), "step_away")
        # Of equal signs the smaller is taken away.
        live["is_less"] = flip == weight_sign
        live["has_step"] = has_step
        live["sign"] = Mux(is_step, ~flip, weight_sign)
        live["base"] = self._value(Mux(is_step, step_exponent, exponent) + 1, "base", _EXPONENT)
        self._boundary()
        small, away = self._register(small, "weight_small"), self._register(away, "step_away")

        # 2: the smaller moves; one bit says whether something fell out.
        is_cut = Const(0)
        for place in range(len(away)):
            fallen = small[: 1 << place]
            is_cut = self._value(is_cut | (away[place] & fallen.any()), "is_cut")
            small = self._value(Mux(away[place], small >> (1 << place), small), "weight_small", width)
        self._boundary()
        small = self._register(Cat(is_cut, small), "weight_small")

        # 3: the sum.
        is_less = live.pop("is_less")
        flipped = Cat(small, Const(0, 2)) ^ is_less.replicate(width + 3)
        total = sum_with(Cat(Const(0, 1), live.pop("big"), Const(0, 2)), flipped, is_less)
        total = self._value(total, "weight_total", signed(width + 3))
        self._boundary()
        total = self._register(total, "weight_total")

        # 4: its magnitude.
        is_minus = total[-1]
        has_step = live.pop("has_step")
        magnitude = self._value(
            sum_with(total[:-1] ^ is_minus.replicate(width + 2), Const(0, 1), is_minus), "weight_total", width + 2
        )
        live["sign"] = self._value((live["sign"] ^ is_minus) & (total.any() | ~has_step), "weight_sign")
        self._boundary()
        total = self._register(magnitude, "weight_total")

        # 5: to its octave, but no farther than the exponents reach.
        left = leading_zeros(total)
        base = live["base"]
        left = self._value(Mux(left > base, base, left), "weight_left", len(left))
        live["total"] = total
        self._boundary()
        left, total = self._register(left, "weight_left"), live.pop("total")

        # 6
        total = self._value(total << left, "weight_total", width + 2)
        exponent = self._value(live.pop("base") - left, "weight_exponent", unsigned(10))
        self._boundary()
        # Neither a subnormal weight nor a zero has an exponent.
        exponent = self._register(exponent, "weight_exponent", force=[(~total[-1], 0)])
        total = self._register(total, "weight_total")

        # 7: rounded; a hidden one, or a carry, counts into the exponent.
        kept, cut = total[-8:], total[:-8]
        is_up = cut[-1] & (cut[:-1].any() | kept[0])
        bits = self._value(sum_with(Cat(Const(0, 7), exponent), kept, is_up), "weight_bits", 17)
        is_above = (bits[7:] >= 255) & ~live["is_invalid"]
        self._boundary()
        bits = self._register(bits[:15], "weight", force=[(is_above, BFLOAT16.infinity)])
        self._pipeline.finish(weight=Cat(bits, live["sign"]), m=live["m"], v=live["v"], invalid=live["is_invalid"])
