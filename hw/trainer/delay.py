"""Values of earlier cycles."""

from amaranth.hdl import Module, Signal, Value


class History:
    """A value, and what it was: ``history[n]`` is the value of n cycles ago.

    Registers are placed for what is asked for, one each however often it is asked for, in a module of their own: so
    they move in every cycle, also where they are asked for under a condition.

    Parameters
    ----------
    m : Module
    value : value
    name : str
    cleared : bool
        Whether a reset clears it: what says that there is something must be, what it is need not.
    """

    def __init__(self, m: Module, value, name: str, *, cleared: bool = False):
        self._m, self._name, self._cleared = Module(), name, cleared
        m.submodules[f"{name}_history"] = self._m
        self._values = [Value.cast(value)]

    def __getitem__(self, cycles: int) -> Value:
        while len(self._values) <= cycles:
            name = f"{self._name}_{len(self._values)}"
            register = Signal(self._values[0].shape(), name=name, reset_less=not self._cleared)
            self._m.d.sync += register.eq(self._values[-1])
            self._values.append(register)
        return self._values[cycles]


def delayed(m: Module, value, cycles: int, name: str, *, cleared: bool = False) -> Value:
    """``value`` of ``cycles`` cycles ago."""
    return History(m, value, name, cleared=cleared)[cycles]
