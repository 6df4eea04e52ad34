"""A statement about units without registers, written with free words, units and assertions.

A statement is a function of a :class:`Claim`::

    @STATEMENTS.about("multiply_add", "a · b + c = b · a + c")
    def multiply_add_commutes(claim):
        a, b, c = claim.free("a", "b", "c")
        claim.equal(claim(a=a, b=b, c=c), claim(a=b, b=a, c=c), "b · a + c is the same")

Words are plain bits, as golden words are. What a circuit without registers does in one step for free inputs is all that
it ever does: such a proof has no bound.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Assert, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import data

from lnsmadam.golden.config import Format, UnitConfig
from lnsmadam.golden.format import FLAG, LNSFormat
from lnsmadam.hw.pipeline import UnitComponent
from lnsmadam.proof.formal.proof import Proof

#: One bit.
SIGN = FLAG

Make = Callable[[Any], UnitComponent]


def _merging(limit: str) -> tuple[str, ...]:
    return (
        "prep -top top -flatten",
        "techmap",
        "opt -full",
        f"abc -g AND -script +strash;ifraig{limit};scorr;dc2;fraig{limit};strash;dc2;map",
        "opt -full",
    )


class Route(enum.Enum):
    """How a claim is decided."""

    #: The solver gets the circuit as bit vectors.
    SOLVER = ("prep -top top -flatten",)
    #: Yosys' ABC merges equivalent nodes first, which leaves nothing where two circuits of one shape are compared; the
    #: solver gets what remains.
    MERGE = _merging("")
    #: The same with more conflicts before two nodes are left apart: multipliers need them.
    MERGE_HARD = _merging(",-C,2000000")


class Claim:
    """The circuit of one statement, while it is written.

    Parameters
    ----------
    config : UnitConfig
        Of the unit that the statement is about.
    make : callable
        Its component.

    Attributes
    ----------
    module : Module
    inputs : list of Signal
        Free words.
    components : list of UnitComponent
        The units, in the order of their use.
    claims : dict
        Signals that are 1 where a claim holds, by message.
    formats : dict
        Of the free words and of all results, by their names in a counterexample.
    """

    def __init__(self, config: Any, make: Make):
        self.config, self.make = config, make
        self.module = Module()
        self.inputs: list[Signal] = []
        self.formats: dict[str, Format] = {}
        self.claims: dict[str, Signal] = {}
        self.components: list[UnitComponent] = []

    def free(self, *names: str, like: str | None = None, fmt: Format | None = None) -> Any:
        """Words that may have any value: of the unit's field of the name, of that of ``like``, or of ``fmt``."""
        words = []
        for name in names:
            self.formats[name] = fmt or self.config.inputs[like or name]
            words.append(Signal(self.formats[name].width, name=name))
        self.inputs += words
        return words if len(words) > 1 else words[0]

    def __call__(self, make: Make | None = None, config: Any = None, **fields: Any) -> Value:
        """The word of ``result`` for operands; of the unit, or of another of a given configuration."""
        return self.unit(make, config, **fields)["result"]

    def unit(self, make: Make | None = None, config: Any = None, **fields: Any) -> dict[str, Value]:
        """The words of all results for operands."""
        config = config or self.config
        component = (make or self.make)(config)
        self.components.append(component)
        number = f"_{len(self.components)}"
        self.module.submodules[f"unit{number}"] = component
        payload = component.i.payload
        self.module.d.comb += [component.i.valid.eq(1), component.o.ready.eq(1)]
        assert set(fields) == set(config.inputs), (set(fields), set(config.inputs))
        for name, word in fields.items():
            word = Const(word, config.inputs[name].width) if isinstance(word, int) else word
            self.module.d.comb += bits(payload[name]).eq(word)
            self.show(f"{name}{number}", word, config.inputs[name], is_described=False)
        return {
            name: self.show(f"{result_name(config, name)}{number}", bits(component.o.payload[name]), fmt)
            for name, fmt in config.outputs.items()
        }

    def show(self, name: str, word: Any, fmt: Format, *, is_described: bool = True) -> Signal:
        """The word under a name that a counterexample has."""
        signal = Signal(fmt.width, name=name, attrs={"keep": 1})
        self.module.d.comb += signal.eq(word)
        if is_described:
            self.formats[name] = fmt
        return signal

    def holds(self, condition: Any, message: str, *, given: Any = None) -> None:
        """Claims a condition, wherever ``given`` is true; that it can be true is proved too."""
        # Of a longer value only the lowest bit would be claimed, and of one message only the last claim.
        assert all(len(Value.cast(value)) == 1 for value in (condition, given) if value is not None), message
        assert message not in self.claims, message
        holds = Signal(name=f"holds_{len(self.claims) + 1}", attrs={"keep": 1})
        self.module.d.comb += holds.eq(condition if given is None else ~given | condition)
        self.claims[message] = holds
        if given is not None:
            self.happens(given, f"{message}: never asked for")

    def happens(self, condition: Any, message: str) -> None:
        """Claims that some operands meet a condition."""
        self.module.d.comb += Cover(condition, message)

    def equal(self, got: Any, want: Any, message: str, *, given: Any = None) -> None:
        """Claims that two words are the same, bit for bit."""
        self.holds(got == want, message, given=given)


@dataclass(frozen=True)
class Statement:
    """A statement about a unit, for any configuration.

    Attributes
    ----------
    unit : str
    name : str
    text : str
        For a reader.
    write : callable
        Writes it as a claim.
    """

    unit: str
    name: str
    text: str
    write: Callable[[Claim], None]

    def proof(self, config: UnitConfig, make: Make, label: str, route: Route = Route.SOLVER, **options: Any) -> Proof:
        """The proof for a configuration without registers, whose name for a reader is ``label``."""

        formats: dict[str, Format] = {}

        def top() -> tuple[Module, Sequence[Signal]]:
            claim = Claim(config, make)
            self.write(claim)
            claim.module.d.comb += [Assert(holds, message) for message, holds in claim.claims.items()]
            # Known once the statement is written.
            formats.update(claim.formats)
            return claim.module, claim.inputs

        if options.get("is_long"):
            options.setdefault("timeout", 3600)
        return Proof(self.unit, self.name, self.text, label, top, formats, script=route.value, **options)


class Statements(list[Statement]):
    """Statements, in the order in which they are written."""

    def about(self, unit: str, text: str) -> Callable[[Callable[[Claim], None]], Callable[[Claim], None]]:
        """Makes a function a statement about a unit; its name without the unit's, with dashes, is the statement's."""

        def register(write: Callable[[Claim], None]) -> Callable[[Claim], None]:
            name = write.__name__.removeprefix(f"{unit}_").replace("_", "-")
            self.append(Statement(unit, name, text, write))
            return write

        return register


def result_name(config: UnitConfig, name: str) -> str:
    """What a counterexample calls a result, but for the number of the unit."""
    return f"new_{name}" if name in config.inputs else name


def bits(value: Any) -> Value:
    """The bits of a field, whatever its shape."""
    return Value.cast(value.as_value() if isinstance(value, data.View) else value)


def log_of(word: Any, fmt: LNSFormat) -> Value:
    """The signed log of a word."""
    return word[: fmt.log_width].as_signed()


def is_zero(word: Any, fmt: LNSFormat) -> Value:
    """Whether a word means zero, of either sign."""
    return word[: fmt.log_width] == fmt.zero


def canonical(word: Any, fmt: LNSFormat) -> Value:
    """The word, or +0 where it means zero."""
    return Mux(is_zero(word, fmt), fmt.zero, word)


def negated(word: Any, fmt: LNSFormat) -> Value:
    """Minus the word; zero is +0."""
    return Mux(is_zero(word, fmt), fmt.zero, word ^ fmt.sign_bit)


def magnitude(word: Any, fmt: LNSFormat) -> Value:
    """The word with the sign 0."""
    return word & fmt.log_mask


def any_zero(claim: Claim, name: str, fmt: LNSFormat) -> Value:
    """+0 or -0, which the free input ``name`` chooses."""
    sign = claim.free(name, fmt=SIGN)
    return Cat(Const(fmt.zero, fmt.log_width), sign)


def order(word: Any, fmt: LNSFormat) -> Value:
    """An integer that rises with the real number that a word stands for."""
    size = (log_of(word, fmt) - fmt.zero_log).as_unsigned()[: fmt.log_width]
    return Mux(word[fmt.log_width], -size, size)


def successor(word: Any, fmt: LNSFormat) -> Value:
    """The next larger number, -0 between the smallest negative one and the smallest positive; of the largest code,
    something."""
    size = word[: fmt.log_width]
    negative = Cat((size - 1)[: fmt.log_width], Const(1, 1))
    return Mux(word[fmt.log_width] & ~is_zero(word, fmt), negative, Cat((size + 1)[: fmt.log_width], Const(0, 1)))


def is_a_number(word: Any, fmt: LNSFormat) -> Value:
    """Whether a result is one: +0, or a log from log_min to log_max."""
    log = log_of(word, fmt)
    return (word == fmt.zero) | ((log >= fmt.log_min) & (log <= fmt.log_max))
