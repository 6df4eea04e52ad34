"""LNS to fixed point."""

from amaranth.hdl import Cat, Const, Module, Signal

from lnsmadam.golden.log_to_linear import LogToLinearConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.mantissa_of_log import mantissa_of_log, shifted_down
from lnsmadam.hw.pipeline import Pipeline, UnitComponent


class LogToLinear(UnitComponent):
    """Converts LNS words to fixed point.

    Computes ``result = a``: the remainder's mantissa, truncated from a table (then the result is correctly rounded) or
    a product of two (faithful: less than one unit, by the configuration's ``guarantee()``), is shifted by the octave
    to half a unit and rounded. Beyond the largest integer it saturates at ± that, with ``overflow``; a negative number
    is 0 in an unsigned format, with ``overflow`` unless it rounds to 0. One number per cycle; a result appears at
    ``o`` :attr:`latency` cycles after its operand is accepted at ``i``, later if ``o`` stalls.
    """

    config: LogToLinearConfig

    def elaborate(self, platform):
        m = Module()
        config, core, linear, a = self.config, self.config.core, self.config.linear_format, self.i.payload.a
        pipeline = Pipeline(m, self)
        octave_bits = core.log2_base_factor
        bits = Cat(a.log)
        shift = core.mantissa_bits - config.point - a.log[octave_bits:].as_signed()
        is_zero = is_zero_log(a.log)
        shift_bits = (core.mantissa_bits + 1).bit_length()
        is_beyond = (shift < 0) & ~is_zero
        live = {
            "sign": a.sign & ~is_zero,
            "is_beyond": is_beyond,
            "is_none": (shift > core.mantissa_bits + 1) | is_zero,
            "shift": self._cut(m, shift, shift_bits),
        }
        mantissa, live = mantissa_of_log(m, pipeline, core, bits[:octave_bits], live)
        halves, live = shifted_down(pipeline, mantissa, live, "shift", "is_none")

        # -floor((h + 1) / 2) = floor((~h + 1) / 2): the sign costs no second addition.
        sign = live["sign"]
        if not linear.signed:
            sign = Const(0)
            live["is_negative"] = live["sign"] & ((halves + 1)[1:].any() | live["is_beyond"])
        value = (Cat(halves, Const(0, 1)) ^ sign.replicate(len(halves) + 1)).as_signed() + 1
        pipeline.boundary()
        value_bits = max(config.magnitude_bits + 2, len(halves) + 2)
        rounded = Signal(value_bits, name="rounded_in")
        m.d.comb += rounded.eq(value[1:].as_signed())
        rounded = pipeline.register(rounded, name="rounded")
        live = {name: pipeline.register(item, name=name) for name, item in live.items()}

        sign = live["sign"]
        upper = rounded[config.magnitude_bits :]
        if linear.signed:
            # The smallest integer, whose negative has no code, saturates as well.
            is_smallest = sign & upper.all() & ~rounded[: config.magnitude_bits].any()
            overflow = live["is_beyond"] | (sign & ~upper.all() & upper.any()) | (~sign & upper.any()) | is_smallest
            force = [
                (overflow & sign, Const(-linear.maximum & ((1 << linear.width) - 1), linear.width)),
                (overflow & ~sign, Const(linear.maximum, linear.width)),
            ]
        else:
            above = (live["is_beyond"] | upper.any()) & ~sign
            overflow = above | live["is_negative"]
            force = [(sign, 0), (above, Const(linear.maximum, linear.width))]
        pipeline.boundary()
        result = pipeline.register(rounded[: linear.width], name="result", force=force)
        pipeline.finish(result=result, overflow=pipeline.register(overflow, name="overflow"))
        return m

    @staticmethod
    def _cut(m: Module, value, bits: int) -> Signal:
        signal = Signal(bits, name="shift_in")
        m.d.comb += signal.eq(value)
        return signal
