"""Faults that several tests plant: by a change of the source of a circuit, and in the pipeline of any unit."""

import inspect
import sys
import types

from lnsmadam.hw.pipeline import Pipeline


def with_fault(component, old, new):
    """A component class whose file has ``new`` in the one place of ``old``."""
    source = inspect.getsource(sys.modules[component.__module__])
    assert source.count(old) == 1, f"{source.count(old)} places in {component.__module__}: {old}"
    module = types.ModuleType(component.__module__)
    exec(compile(source.replace(old, new), f"{component.__name__} with a fault", "exec"), module.__dict__)
    return getattr(module, component.__name__)


class Greedy(Pipeline):
    """Takes operands although a result waits, and moves."""

    def __init__(self, m, component, registered=None):
        ready = component.o.ready
        component.o.ready = 1
        super().__init__(m, component, registered)
        component.o.ready = ready


def boundary_without_reset(index):
    """In place of :meth:`Pipeline.boundary`: reset does not clear the valid bit of that stage alone."""
    original = Pipeline.boundary

    def boundary(self, *, memory=False):
        reset = self._reset
        self._reset = 0 if self._index == index else reset
        try:
            return original(self, memory=memory)
        finally:
            self._reset = reset

    return boundary
