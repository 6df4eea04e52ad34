"""What is proved of the Madam update: the invariants of its rule, for every operand, state and random bit.

The random generator is left out and its bits are free, so what holds here holds in each of its states. The circuit has
no registers, which the unit itself cannot have while it holds a generator.
"""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal

from lnsmadam.golden.format import LNS8, SYNAPSE, FixedFormat
from lnsmadam.golden.madam_config import MadamUpdateConfig, Rounding, Variant
from lnsmadam.golden.madam_update import INTEGER_MADAM, integer_madam
from lnsmadam.hw.madam_update import MadamUpdate
from lnsmadam.proof.formal.claim import Claim, Statements, log_of
from lnsmadam.proof.formal.proof import Proof

STATEMENTS = Statements()
about = STATEMENTS.about

DEFAULT = "default"


class Unclocked(MadamUpdateConfig):
    """A configuration whose hardware needs no register, for its random bits come from outside."""

    @property
    def min_pipeline(self) -> int:
        return 0


class AnyDraw(MadamUpdate):
    """The hardware with random bits from outside.

    Attributes
    ----------
    draw : Signal
    """

    def __init__(self, config: MadamUpdateConfig):
        self.draw = Signal(config.lfsr.bits, name="draw")
        super().__init__(config)

    def _draw(self) -> Signal:
        return self.draw


@dataclass(frozen=True)
class Update:
    """One update: operands and results as words, and what the rule's words mean.

    Attributes
    ----------
    weight, new_weight, grad, grad_rms, new_rms : values
        Words; the states as signed integers.
    start : value
        The weight's log as it enters: from log_min to the largest that ``weight_max_log`` allows.
    largest : value
        The largest log that the new weight may have.
    """

    config: MadamUpdateConfig
    weight: Any
    new_weight: Any
    grad: Any
    grad_rms: Any
    new_rms: Any
    start: Any
    largest: Any

    @property
    def new_log(self) -> Any:
        return log_of(self.new_weight, self.config.weight_format)

    @property
    def grad_log(self) -> Any:
        """The gradient's log in steps of the state."""
        return log_of(self.grad, self.config.grad_format) * self.config.grad_multiple

    @property
    def grad_is_zero(self) -> Any:
        return log_of(self.grad, self.config.grad_format) == self.config.grad_format.zero_log

    @property
    def is_seen(self) -> Any:
        """Whether the state holds an RMS above the smallest: at the smallest, the next gradient sets it."""
        return self.grad_rms > self.config.log_min


def update(claim: Claim, **given: Any) -> Update:
    """An update with free words, but for those given."""
    config: MadamUpdateConfig = claim.config
    fmt = config.weight_format
    words = {name: given[name] if name in given else claim.free(name) for name in config.inputs}
    results = claim.unit(**words)
    component: Any = claim.components[-1]
    if config.random_bits:
        draw = given["draw"] if "draw" in given else claim.free("draw", fmt=FixedFormat(config.lfsr.bits))
        claim.module.d.comb += component.draw.eq(draw)
    limit = words["weight_max_log"].as_signed()
    largest = Mux(limit > fmt.log_max, fmt.log_max, Mux(limit < fmt.log_min, fmt.log_min, limit))
    log = log_of(words["weight"], fmt)
    start = Mux(log > largest, largest, Mux(log < fmt.log_min, fmt.log_min, log))
    return Update(
        config,
        words["weight"],
        results["weight"],
        words["grad"],
        words["grad_rms"].as_signed(),
        results["grad_rms"].as_signed(),
        start,
        largest,
    )


@about("madam_update", "the sign of a weight never changes")
def madam_update_sign(claim: Claim) -> None:
    one = update(claim)
    place = claim.config.weight_format.log_width
    claim.equal(one.new_weight[place], one.weight[place], "the weight's sign stays")


@about("madam_update", "a weight is never zero, and its log lies from log_min to weight_max_log")
def madam_update_range(claim: Claim) -> None:
    fmt, one = claim.config.weight_format, update(claim)
    claim.holds(one.new_log != fmt.zero_log, "the new weight is not zero")
    claim.holds(one.new_log >= fmt.log_min, "the new log is at least log_min")
    claim.holds(one.new_log <= one.largest, "the new log is at most weight_max_log, and log_max")


@about(
    "madam_update",
    "a zero weight moves as the smallest one with its sign, one above weight_max_log as if it were there",
)
def madam_update_entry(claim: Claim) -> None:
    fmt, config = claim.config.weight_format, claim.config
    shared = {name: claim.free(name) for name in config.inputs if name != "weight"}
    if config.random_bits:
        shared["draw"] = claim.free("draw", fmt=FixedFormat(config.lfsr.bits))
    one = update(claim, **shared)
    clamped = Cat(one.start[: fmt.log_width], one.weight[fmt.log_width])
    claim.equal(update(claim, **shared, weight=clamped).new_weight, one.new_weight, "a clamped weight moves the same")


@about(
    "madam_update",
    "a zero gradient leaves an in-range weight as it was, and lets grad_rms stay or fall, by what beta allows",
)
def madam_update_still(claim: Claim) -> None:
    config, one = claim.config, update(claim)
    log = log_of(one.weight, config.weight_format)
    claim.equal(one.new_weight, one.weight, "the weight stays", given=one.grad_is_zero & (log == one.start))
    claim.holds(one.new_rms <= one.grad_rms, "grad_rms does not rise", given=one.grad_is_zero)
    lowest = one.grad_rms - math.ceil(-config.base_factor / 2 * math.log2(1 - 2.0**-config.beta_shift))
    claim.holds(one.new_rms >= lowest, "grad_rms falls by no more than beta says", given=one.grad_is_zero & one.is_seen)
    claim.happens(one.grad_is_zero & (one.new_rms < one.grad_rms), "grad_rms falls")


@about("madam_update", "grad_rms never wraps: it stays between what it was and the gradient's size")
def madam_update_state(claim: Claim) -> None:
    config, one = claim.config, update(claim)
    is_moved = one.is_seen & ~one.grad_is_zero
    rises = one.grad_log >= one.grad_rms
    claim.holds(
        Mux(rises, one.new_rms >= one.grad_rms, one.new_rms <= one.grad_rms),
        "grad_rms moves towards the gradient",
        given=is_moved,
    )
    claim.holds(
        Mux(rises, one.new_rms <= one.grad_log, one.new_rms >= one.grad_log),
        "grad_rms does not pass the gradient",
        given=is_moved,
    )
    claim.holds(
        one.new_rms == one.grad_log - config.first_offset,
        "the first gradient sets grad_rms",
        given=~one.is_seen & ~one.grad_is_zero,
    )
    claim.holds(
        one.new_rms == one.grad_rms, "no gradient leaves an unseen state", given=~one.is_seen & one.grad_is_zero
    )
    is_left = (one.grad_rms > config.state_format.minimum) | ~one.grad_is_zero
    claim.holds(one.new_rms >= config.log_min, "no state becomes the code for no gradient seen", given=is_left)


@about("madam_update", "a step never moves a weight's log with sign(weight) · sign(grad)")
def madam_update_direction(claim: Claim) -> None:
    config, one = claim.config, update(claim)
    is_same = one.weight[config.weight_format.log_width] == one.grad[config.grad_format.log_width]
    claim.holds(one.new_log <= one.start, "a gradient of the weight's sign does not grow it", given=is_same)
    claim.holds(one.new_log >= one.start, "a gradient of the other sign does not shrink it", given=~is_same)


@about("madam_update", "a step is at most 2^⌈log2(bound) + lr_log⌉ units, or 1")
def madam_update_bound(claim: Claim) -> None:
    config = claim.config
    lr = claim.free("lr_log")
    one = update(claim, lr_log=lr)
    # The whole octaves of the learning rate, rounded up as those of the bound are.
    octaves = -(-lr.as_signed() >> config.state_format.fraction_bits) + math.ceil(math.log2(config.grad_bound))
    most = Mux(octaves > 0, Const(1, 1) << octaves[:5], 1) * config.step_unit
    distance = one.new_log - one.start
    claim.holds((distance <= most) & (distance >= -most), "a step is no longer than bound · lr, to the next octave")


@about("madam_update", "with weight and gradient negated, the weight is negated and grad_rms the same")
def madam_update_symmetry(claim: Claim) -> None:
    config = claim.config
    shared = {name: claim.free(name) for name in config.inputs}
    if config.random_bits:
        shared["draw"] = claim.free("draw", fmt=FixedFormat(config.lfsr.bits))
    one = update(claim, **shared)
    minus = {"weight": config.weight_format.sign_bit, "grad": config.grad_format.sign_bit}
    other = update(claim, **shared | {name: shared[name] ^ bit for name, bit in minus.items()})
    claim.equal(other.new_weight, one.new_weight ^ minus["weight"], "the weight is negated")
    claim.equal(other.new_rms, one.new_rms, "grad_rms is the same")


def configurations() -> Iterable[tuple[str, MadamUpdateConfig]]:
    """What the invariants are proved of, by a reader's name."""
    yield DEFAULT, Unclocked(pipeline=0)
    nearest: dict[str, Any] = {
        "rounding": Rounding.NEAREST,
        "state_rounding": Rounding.NEAREST,
        "state_format": FixedFormat(16, 8, True),
        "beta_shift": 6,
    }
    yield "nearest", Unclocked(**nearest, pipeline=0)
    yield "rounded", Unclocked(variant=Variant.ROUNDED, pipeline=0)
    for bits in INTEGER_MADAM:
        config = integer_madam(bits)
        values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        yield f"integer, {bits} bits", Unclocked(**values | {"pipeline": 0})
    for fmt in (LNS8, SYNAPSE):
        yield f"{fmt.name} weights", Unclocked(weight_format=fmt, pipeline=0)


def proofs() -> Iterable[Proof]:
    """All of them."""
    for statement in STATEMENTS:
        for label, config in configurations():
            yield statement.proof(config, AnyDraw, label, is_long=label != DEFAULT)
