"""Correct rounding of real-valued formulas: float64 first, mpmath where float64 cannot decide.

``NEAREST`` is ``floor(x + 1/2)`` everywhere in this project.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

# float64 formulas below are accurate to better than this many units; nearer to a tie, mpmath decides.
_TIE_MARGIN = 1e-7
_DIGITS = 60
_FAR = 2.0**62


def round_nearest(
    approximate: npt.NDArray[np.float64], exact: Callable[[int], Any], margin: float = _TIE_MARGIN
) -> npt.NDArray[np.int64]:
    """``floor(x + 1/2)`` of reals known to float64 accuracy.

    Parameters
    ----------
    approximate : array of float64, one dimension
    exact : function of an index into ``approximate`` that returns the same real as an mpmath number
    margin : float
        Bound on the error of ``approximate``.
    """
    # Beyond any log, where integers of 64 bits end as well.
    approximate = np.clip(approximate, -_FAR, _FAR)
    rounded = np.floor(approximate + 0.5).astype(np.int64)
    distance_to_tie = np.abs(approximate + 0.5 - np.round(approximate + 0.5))
    with mpmath.workdps(_DIGITS):
        for index in np.flatnonzero(distance_to_tie < margin):
            rounded[index] = int(max(-_FAR, min(_FAR, mpmath.floor(exact(int(index)) + mpmath.mpf(1) / 2))))
    return rounded


def round_log2(magnitudes: npt.NDArray[np.float64], base_factor: float) -> npt.NDArray[np.int64]:
    """Nearest integer to ``base_factor * log2(magnitude)``, correctly rounded; magnitudes are positive."""
    magnitudes = np.asarray(magnitudes, dtype=np.float64)
    flat = magnitudes.ravel()
    # Correctly rounded log2 has half an ulp: relative 2**-53 of the product, plus one rounding more.
    margin = _TIE_MARGIN * max(1.0, base_factor / 4096)
    with np.errstate(over="ignore"):
        approximate = base_factor * np.log2(flat)
    rounded = round_nearest(
        approximate,
        lambda index: mpmath.mpf(base_factor) * mpmath.log(mpmath.mpf(float(flat[index])), 2),
        margin,
    )
    return rounded.reshape(magnitudes.shape)


def gauss_log_reals(z: npt.NDArray[np.int64], base_factor: float, subtract: bool) -> npt.NDArray[np.float64]:
    """``base_factor * log2(1 ± 2**(-z / base_factor))`` in float64; ``z >= 0``, for subtraction ``z >= 1``."""
    # Below the bound, every z but 0 is infinitely far.
    x = np.asarray(z, dtype=np.float64) * (np.log(2.0) / max(base_factor, 1e-300))
    # log1p(-exp(-x)) loses digits for small x, where -expm1(-x) keeps them.
    natural = np.log(-np.expm1(-x)) if subtract else np.log1p(np.exp(-x))
    return np.asarray(base_factor * (natural / np.log(2.0)))


def gauss_log_exact(z: int, base_factor: float, subtract: bool) -> Any:
    """One value of :func:`gauss_log_reals` as an mpmath number, at the working precision."""
    factor = mpmath.mpf(base_factor)
    power = mpmath.power(2, -mpmath.mpf(z) / factor)
    return factor * mpmath.log(1 - power if subtract else 1 + power, 2)


def round_gauss_log(z: npt.NDArray[np.int64], base_factor: float, subtract: bool) -> npt.NDArray[np.int64]:
    """Nearest integers to ``base_factor * log2(1 ± 2**(-z / base_factor))``, correctly rounded.

    Source: Kingsbury and Rayner 1971 (the two functions), this project's design (integer z makes the rounded
    sum exact).
    """
    return round_nearest(
        gauss_log_reals(z, base_factor, subtract),
        lambda index: gauss_log_exact(int(z[index]), base_factor, subtract),
        # A few ulp of numbers up to 36 * base_factor, from a base factor of a million on.
        max(_TIE_MARGIN, 1e-13 * base_factor),
    )
