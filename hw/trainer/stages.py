"""Register stages of a datapath that never waits."""

from collections.abc import Collection

from amaranth.hdl import Const, Module, ResetSignal, Signal, Value

from lnsmadam.hw.pipeline import place_register


class Stages:
    """Places the registers of a path that moves in every cycle.

    Has the methods of :class:`~lnsmadam.hw.pipeline.Pipeline` by which parts of a datapath place their boundaries,
    so that those parts serve here too. A reset clears what says whether a stage holds anything, not what it holds.

    Parameters
    ----------
    m : Module
    valid : value of 1 bit
        Something enters.
    registered : numbers, optional
        Those boundaries (the first is 1) that hold a register; by default all.
    clear : value of 1 bit
        Nothing that is under way arrives.
    name : str
        Beginning of the names of the valid bits, for a module with several paths.

    Attributes
    ----------
    latency : int
        Registers placed so far.
    advance : Value
        Always 1.
    """

    def __init__(
        self,
        m: Module,
        valid: Value | int = 0,
        registered: Collection[int] | None = None,
        *,
        clear: Value | int = 0,
        name: str = "valid",
    ):
        self._m, self._name, self._registered = m, name, registered
        self._valid, self._clear = Value.cast(valid), Value.cast(clear)
        self._index = 0
        self.latency = 0
        self.advance = Const(1)

    @property
    def _is_registered(self) -> bool:
        return self._registered is None or self._index in self._registered

    def boundary(self, *, memory: bool = False) -> bool:
        """Begins the next boundary; returns whether it holds a register, as that of a ``memory``'s read port must."""
        self._index += 1
        assert self._is_registered or not memory
        if self._is_registered:
            self.latency += 1
            if not isinstance(self._valid, Const):
                valid = Signal(name=f"{self._name}_{self._index}")
                self._m.d.sync += valid.eq(self._valid & ~self._clear)
                self._valid = valid
        return self._is_registered

    @property
    def valid(self) -> Value:
        """Whether something is at the present boundary."""
        return self._valid

    @property
    def reset(self) -> Value:
        """Reset, for registers of state."""
        return ResetSignal(allow_reset_less=True)

    def register(self, value, *, name: str, force=()) -> Signal:
        """``value`` behind the present boundary, as a signal of the same shape.

        Parameters
        ----------
        force : pairs of (condition, constant)
            Where a condition holds, the register takes the constant instead; the first that holds wins.
        """
        return place_register(
            self._m, value, name=f"{name}_{self._index}", force=force, is_registered=self._is_registered
        )
