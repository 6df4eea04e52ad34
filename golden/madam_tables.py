"""Integer tables of the Madam update, correctly rounded, and the errors they have over all their arguments.

Octaves are powers of two of a gradient; *steps* of the state are 1/gamma octave, gamma = 2**fraction_bits.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from lnsmadam.golden.reference import round_nearest

Table = npt.NDArray[np.int64]
_DIGITS = 40


# A decay beyond this many steps is too large to be subtracted, wrongly, where the gradient outweighs the state.
_MAX_SHARED_DECAY = 1 / 16
# (octaves of a gradient above its RMS, bits of the fraction that are left there). An outlier's gain is so large
# that a coarser one is still right to a few percent, and shared by two distances it takes half the logic.
_COARSE = ((3, 3), (1, 6))


@functools.lru_cache(maxsize=64)
def rms_table(base_factor: int, beta_shift: int, fraction_bits: int, coarse_outliers: bool) -> Table:
    """What one update adds to the larger of two states, by their distance z in steps.

    The running mean of squares is, for the states r (before) and t (what this gradient alone leaves,
    ``log2|g| + log2(1 - beta) / 2``)::

        log2 sqrt(beta 4**r + 4**t) = r + log2(beta + 4**-z) / 2          z = r - t
                                    = t + log2(1 + beta 4**-z) / 2        z = t - r

    The table holds both, in units of ``2**-fraction_bits`` steps, for z = 0, 1, … steps: row 0 for the first
    line, row 1 for the second. Where the decay ``-log2(beta) / 2`` is below 1/16 step, row 1 repeats row 0, which
    is too small by no more than that. The last entries hold for every larger z; that of row 0 is the decay, and
    what a gradient of zero does.

    With ``coarse_outliers``, two successive distances share an entry, rounded to 1/64 step, where the gradient
    is at least twice its RMS; to 1/8 step, where it is at least eight times its RMS.
    """
    unit = base_factor / 2 * 2.0**fraction_bits
    # Past this distance 4**-z is below a hundredth of the unit.
    count = 2 * math.ceil(base_factor / 4 * (math.log2(unit) + 8)) + 2
    z = np.append(np.arange(float(count)), np.inf)
    coarseness = np.zeros(count + 1, dtype=np.int64)
    if coarse_outliers:
        for octaves, bits in reversed(_COARSE):
            coarseness[: max(base_factor * (beta_shift - 2 * octaves) // 4 * 2, 0)] = max(fraction_bits - bits, 0)
    is_shared = coarseness > 0
    partner = np.where(is_shared, np.arange(count + 1) ^ 1, np.arange(count + 1))

    def row(newer: bool) -> Table:
        reals = unit * _gain(z, base_factor, beta_shift, newer)

        def exact(index: int) -> Any:
            pair = (_exact_gain(z[i], base_factor, beta_shift, newer) for i in (index, partner[index]))
            return unit * mpmath.fsum(pair) / (2 << int(coarseness[index]))

        return round_nearest((reals + reals[partner]) / (2 << coarseness), exact) << coarseness

    older = row(newer=False)
    shares = -older[-1] <= _MAX_SHARED_DECAY * 2**fraction_bits
    table = np.stack([older, older if shares else row(newer=True)])
    is_last = (table == table[:, -1:]).all(axis=0)
    table = np.ascontiguousarray(table[:, : np.flatnonzero(~is_last)[-1] + 2])
    table.setflags(write=False)
    return table


def _gain(z: npt.ArrayLike, base_factor: int, beta_shift: int, newer: bool) -> npt.NDArray[np.float64]:
    """``log2(beta + 4**-z)``, or with ``newer`` ``log2(1 + beta 4**-z)``, z in steps of 1/base_factor."""
    power, rest = np.exp2(-2 * np.asarray(z) / base_factor), 2.0**-beta_shift
    # log1p keeps the digits of the decay for beta near 1.
    return np.asarray(np.log1p((1 - rest) * power if newer else power - rest) / np.log(2))


def _exact_gain(z: float, base_factor: int, beta_shift: int, newer: bool) -> Any:
    beta, power = 1 - mpmath.mpf(2) ** -beta_shift, mpmath.power(2, -2 * mpmath.mpf(z) / base_factor)
    return mpmath.log(1 + beta * power if newer else beta + power, 2)


def rms_error(base_factor: int, beta_shift: int, fraction_bits: int, coarse_outliers: bool) -> float:
    """Largest error, in steps, of a new state before it is rounded: over all z, r or t the larger."""
    table = rms_table(base_factor, beta_shift, fraction_bits, coarse_outliers)
    last = table.shape[1] - 1
    # Twice as far as the table, and then infinity.
    z = np.append(np.arange(2.0 * last), np.inf)
    values = table[:, np.minimum(z, last).astype(np.int64)] * 2.0**-fraction_bits
    true = [base_factor / 2 * _gain(z, base_factor, beta_shift, newer) for newer in (False, True)]
    return float(np.abs(values - true).max())


@dataclass(frozen=True)
class AntilogTable:
    """The size of a step, in weight steps with ``fraction_bits`` bits below the point.

    Attributes
    ----------
    bound_log : int
        Where log2 of the normalised gradient is clipped, in whole steps of the state, downwards.
    mantissas : int64 array of shape (2, base_factor)
        ``2**(remainder / base_factor) * 2**mantissa_bits``, and in row 1 that of a clipped gradient: the
        remainder of bound_log is then that of the bound itself.
    mantissa_bits : int
    lowest : int
        Logs (in steps of the state, lr_log included) below this have no step.
    quantities : int64 array of shape (2, …)
        Step sizes for the logs ``lowest``, ``lowest + 1`` …, rows as in ``mantissas``: the mantissa shifted by
        the octave, bits below ``2**-fraction_bits`` cut off.
    max_error : float
        Largest error of a quantity, in weight steps, over all logs, those below ``lowest`` included.
    """

    bound_log: int
    mantissas: Table
    mantissa_bits: int
    lowest: int
    quantities: Table
    max_error: float


@functools.lru_cache(maxsize=256)
def step_antilog(base_factor: int, bound: float, lr_max: int, fraction_bits: int, mantissa_bits: int) -> AntilogTable:
    """Makes and checks the table of ``2**(log / base_factor)`` for logs up to those of ``bound`` and lr_max.

    Parameters
    ----------
    base_factor : int
        Steps of the state per octave.
    bound : float
        Largest normalised gradient.
    lr_max : int
        Largest lr_log, in steps of the state.
    fraction_bits, mantissa_bits : int
    """
    with mpmath.workdps(_DIGITS):
        bound_exact = base_factor * mpmath.log(mpmath.mpf(bound), 2)
        # A bound that is a step of the state must not fall below it by the rounding of the float.
        nearest = int(mpmath.nint(bound_exact))
        bound_log = nearest if abs(bound_exact - nearest) < 1e-9 else int(mpmath.floor(bound_exact))
        beyond = 0 if bound_log == nearest and abs(bound_exact - nearest) < 1e-9 else bound_exact - bound_log
        logs = [mpmath.mpf(remainder) + extra for extra in (0, beyond) for remainder in range(base_factor)]
        scale = mpmath.mpf(2) ** mantissa_bits
        exact = [scale * mpmath.power(2, log / base_factor) for log in logs]
        mantissas = round_nearest(np.array([float(x) for x in exact]), lambda i: exact[i]).reshape(2, -1)
    highest = bound_log + lr_max
    lowest = -(fraction_bits + 1) * base_factor
    log = np.arange(lowest, highest + 1)
    octave, remainder = log // base_factor, log % base_factor
    shift = octave + fraction_bits - mantissa_bits
    chosen = mantissas[:, remainder]
    quantities = np.where(shift >= 0, chosen << np.maximum(shift, 0), chosen >> np.maximum(-shift, 0))
    true = np.exp2((log + np.array([[0.0], [float(beyond)]])) / base_factor)
    error = np.abs(quantities * 2.0**-fraction_bits - true).max()
    first = int(np.flatnonzero(quantities[0])[0])
    error = max(float(error), 2.0 ** (lowest / base_factor))
    mantissas.setflags(write=False)
    quantities = np.ascontiguousarray(quantities[:, first:])
    quantities.setflags(write=False)
    return AntilogTable(bound_log, mantissas, mantissa_bits, lowest + first, quantities, error)
