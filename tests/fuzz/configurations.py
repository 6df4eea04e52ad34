"""Strategies for configurations: formats and options of every unit, usual ones and odd ones."""

import enum

from hypothesis import strategies as st

from lnsmadam.golden.floats import FLOATS, FloatFormat
from lnsmadam.golden.format import PRESETS, FixedFormat, LNSFormat
from lnsmadam.units import UNITS

#: Beyond the usual powers of two: odd, real, less than 1, and far beyond the width.
ODD_FACTORS = (3, 5, 6, 10, 12.5, 100, 0.3, 0.04, 3.7, 4.232353, 1 / 3, 1e9, 1e-9)

#: Whose formats must split into octaves.
OF_OCTAVES = ("dot", "linear_to_log", "log_to_linear", "float_to_lns", "lns_to_float")


def powers_of_two(least, most):
    return st.integers(least, most).map(lambda bits: 1 << bits)


@st.composite
def lns_formats(draw, octaves=False, most=24):
    """A format of up to ``most`` bits; with ``octaves`` mostly one that splits into them, ``"few"`` of them."""
    kind = draw(st.integers(0, 9))
    if kind == 0 and not octaves:
        return draw(st.sampled_from([fmt for fmt in PRESETS.values() if fmt.width <= most]))
    if kind == 1 and not octaves:
        return LNSFormat.levels(draw(st.integers(2, 200)), draw(st.sampled_from((1.01, 2, 16, 60, 1e6, 1e30))))
    # Narrow ones have the most corners for their size.
    width = draw(st.one_of(st.integers(4, min(10, most)), st.integers(4, most)))
    # Products of a few dozen octaves fit a linear accumulator.
    least = max(width - 7, 0) if octaves == "few" else 0
    factor = draw(powers_of_two(least, max(min(max(width - 3, 1), 13), least)))
    if kind == 2 or (kind < 6 and not octaves):
        factor = draw(st.one_of(st.sampled_from(ODD_FACTORS), st.floats(0.01, 1000)))
    half = 1 << (width - 2)
    if draw(st.integers(0, 3)):
        return LNSFormat(width, factor)
    low = draw(st.integers(1 - half, half - 1))
    return LNSFormat(width, factor, low, draw(st.integers(low, half - 1)))


fixed_formats = st.builds(
    FixedFormat, st.one_of(st.integers(2, 20), st.integers(2, 62)), st.integers(-8, 40), signed=st.booleans()
)
float_formats = st.one_of(
    st.sampled_from(list(FLOATS.values())), st.builds(FloatFormat, st.integers(2, 8), st.integers(1, 23))
)

#: Integers of options, a little beyond their ranges.
INTEGERS = {
    "lanes": st.one_of(st.integers(1, 5), st.integers(1, 65)),
    "length": st.one_of(st.integers(1, 300), powers_of_two(0, 50)),
    "mantissa_bits": st.one_of(st.integers(5, 14), st.integers(0, 33)),
    "chord_bits": st.one_of(st.integers(0, 2), st.integers(0, 8)),
    "beta_shift": st.integers(1, 14),
    "step_fraction_bits": st.integers(1, 12),
    "state_fraction_bits": st.integers(4, 17),
    "beta1_shift": st.integers(1, 12),
    "beta2_shift": st.integers(1, 12),
    "ratio_bits": st.one_of(st.integers(9, 14), st.integers(8, 15)),
}


def _accumulators(unit, operand):
    """Of multiply_add: mostly a multiple of the operands' base factor."""
    if unit.name != "multiply_add" or operand is None:
        return lns_formats()
    multiples = st.builds(
        LNSFormat, st.integers(4, 16), st.sampled_from((1, 2, 3, 4, 7, 16)).map(lambda k: k * operand.base_factor)
    )
    return st.one_of(multiples, multiples, lns_formats())


def _value(unit, option, chosen):
    if option.name == "grad_format":
        # Its base factor divides the state's.
        usual = st.integers(4, 9).flatmap(
            lambda width: powers_of_two(max(width - 7, 0), 4).map(lambda factor: LNSFormat(width, factor))
        )
        return st.one_of(usual, usual, lns_formats())
    if option.kind is LNSFormat:
        octaves = unit.name == "dot"
        return lns_formats(octaves=True) if octaves else _accumulators(unit, chosen.get(unit.main_format))
    if option.kind is FixedFormat:
        if option.name == "state_format":
            usual = st.builds(FixedFormat, st.integers(14, 24), st.integers(2, 8), signed=st.just(True))
            return st.one_of(
                usual, st.builds(FixedFormat, st.integers(6, 24), st.integers(0, 11), signed=st.just(True))
            )
        if option.name in ("accumulator", "result"):
            return st.builds(FixedFormat, st.integers(2, 62), st.integers(-4, 16), signed=st.just(True))
        return fixed_formats
    if option.kind is FloatFormat:
        if option.name in ("m_format", "v_format"):
            return st.builds(FloatFormat, st.just(8), st.one_of(st.integers(12, 23), st.integers(7, 23)))
        if unit.name in ("bf16_multiply_add", "sgd_update"):
            return st.builds(FloatFormat, st.integers(3, 8), st.integers(2, 10))
        return float_formats
    if issubclass(option.kind, enum.Enum):
        return st.sampled_from(list(option.kind))
    if option.kind is bool:
        return st.booleans()
    if option.kind is float:
        return st.sampled_from((1.0, 1.5, 3.0, 10.0, 10.7, 100.0, 1024.0))
    return INTEGERS[option.name]


@st.composite
def choices(draw, units=tuple(UNITS)):
    """A unit's name and options for it, most of which it takes; the pipeline is any that goes with the others."""
    unit = UNITS[draw(st.sampled_from(units))]
    options = {}
    if unit.main_format is not None:
        options[unit.main_format] = draw(lns_formats(octaves="few" if unit.name == "dot" else unit.name in OF_OCTAVES))
    # An option that is not given is as interesting as one that is.
    for option in unit.options:
        if draw(st.integers(0, 2)) == 0:
            options[option.name] = draw(_value(unit, option, options))
    try:
        config = unit.configure(options)
    except ValueError:
        return unit.name, options
    # All registers are the default, none the quickest way to a wrong width.
    depths = st.integers(config.min_pipeline, config.max_pipeline)
    depth = draw(st.one_of(st.none(), st.just(config.min_pipeline), depths, depths))
    return unit.name, options if depth is None else {**options, "pipeline": depth}
