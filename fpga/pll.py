"""A board's clock at another frequency: PLLs of iCE40 and ECP5, their divisors found by search."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer


@dataclass(frozen=True)
class PLL:
    """Settings of a PLL.

    Attributes
    ----------
    input_hz, output_hz : float
    divide, multiply, post : int
        ``output_hz = input_hz / divide * multiply / post`` on iCE40 with ``post`` a power of two; on ECP5 the output
        is fed back, so that ``output_hz = input_hz / divide * multiply``, and ``post`` makes the oscillator's clock.
    """

    input_hz: float
    output_hz: float
    divide: int
    multiply: int
    post: int


def ice40_pll(input_hz: float, wanted_hz: float) -> PLL:
    """The nearest that an iCE40's PLL makes (Lattice FPGA-TN-02052: oscillator 533 to 1066 MHz)."""
    found = [
        PLL(input_hz, input_hz / divide * multiply / (1 << power), divide, multiply, 1 << power)
        for divide in range(1, 17)
        for multiply in range(1, 129)
        for power in range(1, 7)
        if 10e6 <= input_hz / divide <= 133e6 and 533e6 <= input_hz / divide * multiply <= 1066e6
    ]
    return _nearest(found, input_hz, wanted_hz, 16e6, 275e6)


def ecp5_pll(input_hz: float, wanted_hz: float) -> PLL:
    """The nearest that an ECP5's PLL makes (Lattice FPGA-TN-02200: oscillator 400 to 800 MHz)."""
    found = [
        PLL(input_hz, input_hz / divide * multiply, divide, multiply, post)
        for divide in range(1, 33)
        for multiply in range(1, 81)
        for post in range(1, 129)
        if input_hz / divide >= 3.125e6 and 400e6 <= input_hz / divide * multiply * post <= 800e6
    ]
    return _nearest(found, input_hz, wanted_hz, 3.125e6, 400e6)


def _nearest(found: list[PLL], input_hz: float, wanted_hz: float, low: float, high: float) -> PLL:
    best = min(found, key=lambda pll: (abs(pll.output_hz - wanted_hz), pll.divide, pll.post))
    if not low <= wanted_hz <= high or abs(best.output_hz / wanted_hz - 1) > 0.01:
        raise ValueError(f"Clock of {wanted_hz / 1e6:g} MHz cannot be made of {input_hz / 1e6:g} MHz to within 1 %")
    return best


def pll_of(family: str, input_hz: float, wanted_hz: float) -> PLL:
    """Settings for a part of ``ice40`` or ``ecp5``; ``ValueError`` if no such clock can be made."""
    return {"ice40": ice40_pll, "ecp5": ecp5_pll}[family](input_hz, wanted_hz)


class BoardClock(Elaboratable):  # type: ignore[misc]  # Amaranth has no types
    """Drives the domain ``sync`` from a board's clock by a PLL; in reset until the PLL has locked.

    The design above defines the domain.

    Parameters
    ----------
    family : str
        ``ice40`` or ``ecp5``.
    pll : PLL
        See :func:`pll_of`.
    """

    def __init__(self, family: str, pll: PLL):
        self.family, self.pll = family, pll

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pll = self.pll
        clock, locked = Signal(name="pll_clock"), Signal(name="pll_locked")
        pin = platform.request(platform.default_clk, dir="-")
        if self.family == "ice40":
            detector = pll.input_hz / pll.divide
            # Lattice's table of loop filters by the detector's clock.
            bounds = (17e6, 26e6, 44e6, 66e6, 101e6)
            # Where the clock comes in at the PLL's own pin, as on iCEBreaker, that pin serves nothing else.
            if platform.device == "iCE40UP5K":
                kind, source = "PAD", {"i_PACKAGEPIN": pin.io}
            else:
                m.submodules.pin = buffer = io.Buffer("i", pin)
                kind, source = "CORE", {"i_REFERENCECLK": buffer.i}
            m.submodules.pll = Instance(
                f"SB_PLL40_{kind}",
                **source,
                p_FEEDBACK_PATH="SIMPLE",
                p_DIVR=pll.divide - 1,
                p_DIVF=pll.multiply - 1,
                p_DIVQ=pll.post.bit_length() - 1,
                p_FILTER_RANGE=1 + sum(detector >= bound for bound in bounds),
                i_RESETB=1,
                i_BYPASS=0,
                o_PLLOUTGLOBAL=clock,
                o_LOCK=locked,
            )
        else:
            m.submodules.pin = buffer = io.Buffer("i", pin)
            m.submodules.pll = Instance(
                "EHXPLLL",
                p_PLLRST_ENA="DISABLED",
                p_INTFB_WAKE="DISABLED",
                p_STDBY_ENABLE="DISABLED",
                p_DPHASE_SOURCE="DISABLED",
                p_OUTDIVIDER_MUXA="DIVA",
                p_CLKOP_ENABLE="ENABLED",
                p_CLKOP_CPHASE=pll.post - 1,
                p_CLKOP_FPHASE=0,
                p_CLKI_DIV=pll.divide,
                p_CLKFB_DIV=pll.multiply,
                p_CLKOP_DIV=pll.post,
                p_FEEDBK_PATH="CLKOP",
                i_CLKI=buffer.i,
                i_CLKFB=clock,
                i_RST=0,
                i_STDBY=0,
                i_PHASESEL0=0,
                i_PHASESEL1=0,
                i_PHASEDIR=0,
                i_PHASESTEP=0,
                i_PHASELOADREG=0,
                i_PLLWAKESYNC=0,
                i_ENCLKOP=0,
                o_CLKOP=clock,
                o_LOCK=locked,
            )
        # No constraint: nextpnr derives it from that of the pin.
        m.d.comb += ClockSignal("sync").eq(clock)
        m.submodules.reset = ResetSynchronizer(~locked, domain="sync")
        return m
