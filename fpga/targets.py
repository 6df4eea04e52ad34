"""FPGA parts that ``synth`` measures on, and the commands that turn Verilog into cells of each."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Target:
    """One part with its flow.

    Attributes
    ----------
    name : str
        The word of the command line.
    family : str
        ``ice40`` or ``ecp5``: the Yosys script and the nextpnr that serve it.
    part : str
        The part as a person would order it.
    nextpnr : tuple of str
        Arguments that select the part.
    capacity : dict of str to int
        Resources of the part, named as in the result of ``measure``.
    """

    name: str
    family: str
    part: str
    nextpnr: tuple[str, ...]
    capacity: dict[str, int]

    @property
    def place_and_route(self) -> str:
        """The nextpnr of the family."""
        return f"nextpnr-{self.family}"

    def synthesis(self, *, top: str, dsp: bool = False, bram: bool = True) -> str:
        """The Yosys command: the family's plain script, as for the public peers.

        In Yosys 0.70 that is ABC9 without ``-dff``, and for both iCE40 parts with the timing of the HX devices.

        Parameters
        ----------
        dsp : bool
            Whether multiplications may use DSP blocks. Off by default, as the units are to do without.
        bram : bool
            Whether memories may use block RAM.

        Raises
        ------
        ValueError
            ``dsp`` is asked of a part that has no DSP blocks.
        """
        if dsp and not self.capacity["dsp"]:
            raise ValueError(f"Target {self.name} has no DSP blocks")
        options = []
        # The scripts' defaults differ: synth_ice40 leaves DSP blocks alone, synth_ecp5 uses them.
        if dsp and self.family == "ice40":
            options.append("-dsp")
        if not dsp and self.family == "ecp5":
            options.append("-nodsp")
        if not bram:
            options.append("-nobram")
        return " ".join([f"synth_{self.family}", *options, "-top", top])


def _ice40(name: str, part: str, package: str, **capacity: int) -> Target:
    return Target(name=name, family="ice40", part=part, nextpnr=(f"--{name}", "--package", package), capacity=capacity)


def _ecp5(name: str, part: str, size: str, **capacity: int) -> Target:
    return Target(
        name=name,
        family="ecp5",
        part=part,
        nextpnr=(f"--{size}", "--package", "CABGA381", "--speed", "6"),
        capacity=capacity,
    )


# lut4 and ff are the part's logic cells. Blocks are 4 kbit on iCE40 and 18 kbit on ECP5.
TARGETS = {
    target.name: target
    for target in (
        _ice40("hx8k", "iCE40HX8K-CT256", "ct256", lut4=7680, ff=7680, bram=32, dsp=0),
        _ice40("up5k", "iCE40UP5K-SG48", "sg48", lut4=5280, ff=5280, bram=30, dsp=8),
        _ecp5("ecp5-25k", "LFE5U-25F-6BG381C", "25k", lut4=24288, ff=24288, bram=56, dsp=28),
        _ecp5("ecp5-85k", "LFE5U-85F-6BG381C", "85k", lut4=83640, ff=83640, bram=208, dsp=156),
    )
}


def target_named(name: str) -> Target:
    """The target of that name; raises ``ValueError`` with the list of them."""
    try:
        return TARGETS[name]
    except KeyError:
        raise ValueError(f"Target must be one of {', '.join(TARGETS)}, not {name!r}") from None
