"""Floating point to LNS."""

from amaranth.hdl import Cat, Const, Module, Mux

from lnsmadam.golden.float_to_lns import FloatToLNSConfig
from lnsmadam.hw.log_of_mantissa import at_least_as_wide, log_of_mantissa, pass_on
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, out_of_range, word


class FloatToLNS(UnitComponent):
    """Converts floating point to LNS words.

    Computes ``result = a``: the exponent is the octave, and the log of the mantissa comes from a table or from
    comparison with one threshold (both correctly rounded), or from a straight segment (faithful: less than one step,
    by the configuration's ``guarantee()``). A log above ``log_max`` saturates; one below ``log_min``, and ±0, is +0.
    NaN is +0 with ``invalid``, an infinity the largest of its sign with ``infinite``. Subnormal numbers are
    normalised where the result's range reaches down to them. One number per cycle; a result appears at ``o``
    :attr:`latency` cycles after its operand is accepted at ``i``, later if ``o`` stalls.
    """

    config: FloatToLNSConfig

    def elaborate(self, platform):
        m = Module()
        config, fmt, a = self.config, self.config.float_format, self.i.payload.a
        pipeline = Pipeline(m, self)
        is_special = a.exponent.all()
        is_low = ~a.exponent.any()
        has_mantissa = a.mantissa.any()
        live = {
            "sign": a.sign,
            "is_nan": is_special & has_mantissa,
            "is_infinite": is_special & ~has_mantissa,
            # Where no subnormal number reaches the range, its octave flushes it as it does a zero.
            "is_zero": is_low & ~has_mantissa if config.has_subnormals else is_low,
        }
        octave, mantissa = a.exponent - Const(fmt.bias), a.mantissa
        if config.has_subnormals:
            octave, mantissa = self._normalised(octave, mantissa, is_low)
            pipeline.boundary()
            live = pass_on(pipeline, {"octave": octave, "mantissa": mantissa, **live})
            octave, mantissa = live.pop("octave"), live.pop("mantissa")
        log, live = log_of_mantissa(m, pipeline, config.core, octave, mantissa, live)
        log = at_least_as_wide(log, config.format)

        pipeline.boundary()
        above, below = out_of_range(log, config.format)
        above |= live["is_infinite"]
        flush = live["is_zero"] | live["is_nan"] | (below & ~live["is_infinite"])
        force = [(flush, config.format.zero), (above, config.format.max_word)]
        result = pipeline.register(log[: config.format.log_width], name="result", force=force)
        sign = pipeline.register(live["sign"], name="result_sign", force=[(flush, 0)])
        pipeline.finish(
            result=word(sign, result, config.format),
            invalid=pipeline.register(live["is_nan"], name="invalid"),
            infinite=pipeline.register(live["is_infinite"], name="infinite"),
        )
        return m

    def _normalised(self, octave, mantissa, is_low):
        """Octave and mantissa of numbers of which those with ``is_low`` have no leading one above the mantissa."""
        bits = self.config.float_format.mantissa_bits
        zeros = []
        shifted = mantissa
        for place in reversed(range((bits - 1).bit_length())):
            step = 1 << place
            is_empty = ~shifted[-step:].any()
            shifted = Mux(is_empty, shifted << step, shifted)[:bits]
            zeros.insert(0, is_empty)
        # The leading one itself goes one place further.
        shifted = (shifted << 1)[:bits]
        lowest = -self.config.float_format.bias
        octave_of_low = lowest - Cat(zeros) if zeros else Const(lowest)
        return Mux(is_low, octave_of_low, octave), Mux(is_low, shifted, mantissa)
