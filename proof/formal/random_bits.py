"""What is proved of the random generators: none ever comes to rest at zero, from which no step leads away."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from amaranth.hdl import Assert, Assume, Module, Signal

from lnsmadam.golden.format import FixedFormat
from lnsmadam.golden.lfsr import LFSRConfig
from lnsmadam.golden.madam_config import MadamUpdateConfig
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.hw.lfsr import LFSR
from lnsmadam.hw.trainer.noise import Noise
from lnsmadam.proof.formal.opened import opened
from lnsmadam.proof.formal.proof import Proof
from lnsmadam.proof.formal.sby import Mode

Top = tuple[Module, list[Signal]]


def generators() -> dict[str, tuple[str, LFSRConfig]]:
    """Those in use: subject and register, by name."""
    network = NetworkConfig()
    return {
        "lfsr": ("madam_update", MadamUpdateConfig().lfsr),
        "input-noise": ("trainer", network.input_noise),
        "neuron-noise": ("trainer", network.neuron_noise),
    }


def lfsr_top(config: Any, make: Callable[[Any], Any] = LFSR) -> Top:
    """The generator of a unit, its draw as wide as its state."""
    m, advance = Module(), Signal(name="advance")
    m.submodules.lfsr = lfsr = make(config)
    m.d.comb += [lfsr.advance.eq(advance), Assert(lfsr.draw != 0, "the state is not zero")]
    return m, [advance]


def noise_top(config: Any, make: Callable[..., Any] = Noise) -> Top:
    """The generator of the trainer. Nobody moves on from a mark before there is one, or writes a zero."""
    m = Module()
    noise = make(config, repeats=True)
    opened(m, "noise", noise)
    inputs = {name: Signal(name=name) for name in ("advance", "mark", "rewind", "load")}
    value, is_marked = Signal(config.width, name="value"), Signal(reset_less=True, name="is_marked")
    with m.If(noise.advance & noise.mark):
        m.d.sync += is_marked.eq(1)
    m.d.comb += [getattr(noise, name).eq(signal) for name, signal in inputs.items()]
    m.d.comb += [
        noise.value.eq(value),
        Assume(~(noise.advance & noise.rewind) | is_marked),
        Assume(~noise.load | (value != 0)),
        Assert(noise.state != 0, "the state is not zero"),
        Assert(~is_marked | (noise.marked != 0), "the marked state is not zero"),
    ]
    return m, [*inputs.values(), value]


def proofs() -> Iterable[Proof]:
    """All of them."""
    for name, (subject, config) in generators().items():
        whole = dataclasses.replace(config, bits=config.width)
        is_unit = name == "lfsr"
        yield Proof(
            subject,
            f"{name}-nonzero",
            "the random generator is never at zero" + ("" if is_unit else ", unless a zero is written"),
            f"{config.width} bits, polynomial {config.polynomial:#x}, {config.shift} steps a draw",
            partial(lfsr_top if is_unit else noise_top, whole),
            {"draw" if is_unit else "state": FixedFormat(config.width)},
            Mode.INDUCTION,
            depth=2,
        )
