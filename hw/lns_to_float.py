"""LNS to floating point."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from lnsmadam.golden.lns_to_float import LNSToFloatConfig
from lnsmadam.hw.lns import is_zero_log
from lnsmadam.hw.mantissa_of_log import mantissa_of_log, shifted_down
from lnsmadam.hw.pipeline import Pipeline, UnitComponent


class LNSToFloat(UnitComponent):
    """Converts LNS words to floating point.

    Computes ``result = a``: the octave is the exponent; the remainder's mantissa, truncated from a table (then the
    result is correctly rounded) or a product of two (faithful: less than one unit of the last place, by the
    configuration's ``guarantee()``), is rounded, after a shift where the number is subnormal. Beyond the largest finite
    number it is that one, with ``overflow``; zero, and what rounds to it, is +0. One number per cycle; a result
    appears at ``o`` :attr:`latency` cycles after its operand is accepted at ``i``, later if ``o`` stalls.
    """

    config: LNSToFloatConfig

    def elaborate(self, platform):
        m = Module()
        config, core, fmt, a = self.config, self.config.core, self.config.float_format, self.i.payload.a
        pipeline = Pipeline(m, self)
        octave_bits, bits = core.log2_base_factor, Cat(a.log)
        lowest, highest = config.exponents
        # The exponent less 1: the leading one of the mantissa adds it again.
        exponent = a.log[octave_bits:].as_signed() + (fmt.bias - 1)
        is_low = exponent < 0
        live = {"sign": a.sign, "is_zero": is_zero_log(a.log)}
        exponent_bits = max(highest, 1).bit_length()
        field = Signal(exponent_bits, name="exponent_in")
        m.d.comb += field.eq(Mux(is_low, 0, exponent) if config.has_subnormals else exponent)
        live["exponent"] = field
        if config.has_subnormals:
            down = Signal((fmt.mantissa_bits + 2).bit_length(), name="down_in")
            m.d.comb += down.eq(Mux(is_low, -exponent, 0))
            is_tie = (-exponent == fmt.mantissa_bits + 1) & (~bits[:octave_bits].any() if octave_bits else Const(1))
            live |= {"down": down, "is_none": (-exponent > fmt.mantissa_bits + 1) | is_tie}
        mantissa, live = mantissa_of_log(m, pipeline, core, bits[:octave_bits], live)
        if config.has_subnormals:
            mantissa, live = shifted_down(pipeline, mantissa, live, "down", "is_none")

        rounded = (Cat(Const(0, fmt.mantissa_bits + 1), live.pop("exponent")) + mantissa + 1)[1:]
        pipeline.boundary()
        rounded = pipeline.register(rounded, name="rounded")
        sign, is_zero = (pipeline.register(live[name], name=name) for name in ("sign", "is_zero"))

        width = fmt.width - 1
        can_overflow = highest + 1 >= fmt.exponent_max
        overflow = (rounded >= fmt.infinity) & ~is_zero if can_overflow else Const(0)
        is_nothing = is_zero | ~rounded.any() if config.has_subnormals else is_zero
        pipeline.boundary()
        extended = Signal(width, name="magnitude_in")
        m.d.comb += extended.eq(rounded)
        force = [(is_zero, 0), *([(overflow, Const(fmt.max_word, width))] if can_overflow else [])]
        magnitude = pipeline.register(extended, name="result", force=force)
        sign = pipeline.register(sign, name="result_sign", force=[(is_nothing, 0)])
        pipeline.finish(result=Cat(magnitude, sign), overflow=pipeline.register(overflow, name="overflow"))
        return m
