"""Divisors of PLLs: the frequencies, and the ranges of the data sheets."""

import pytest

from lnsmadam.fpga.pll import ecp5_pll, ice40_pll


@pytest.mark.parametrize("wanted", [16e6, 20e6, 24e6, 40e6, 42e6, 48e6, 60e6, 100e6, 275e6])
def test_ice40(wanted):
    pll = ice40_pll(12e6, wanted)
    oscillator = 12e6 / pll.divide * pll.multiply
    assert 533e6 <= oscillator <= 1066e6 and 10e6 <= 12e6 / pll.divide <= 133e6
    assert pll.post in (2, 4, 8, 16, 32, 64) and oscillator / pll.post == pytest.approx(pll.output_hz)
    assert pll.output_hz == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("source", [12e6, 25e6, 100e6])
@pytest.mark.parametrize("wanted", [60e6, 80e6, 100e6, 125e6])
def test_ecp5(source, wanted):
    pll = ecp5_pll(source, wanted)
    # The output is fed back, so that the oscillator runs at post times it.
    assert pll.output_hz == pytest.approx(source / pll.divide * pll.multiply)
    assert 400e6 <= pll.output_hz * pll.post <= 800e6 and pll.divide <= 32 and pll.multiply <= 80
    assert pll.output_hz == pytest.approx(wanted, rel=0.01)


def test_what_cannot_be_made():
    for make, wanted in ((ice40_pll, 12e6), (ice40_pll, 300e6), (ecp5_pll, 1e6), (ecp5_pll, 500e6)):
        with pytest.raises(ValueError, match=f"^Clock of {wanted / 1e6:g} MHz cannot be made of 12 MHz to within 1 %$"):
            make(12e6, wanted)
