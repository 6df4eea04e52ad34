"""Faults by a change of the source of a circuit."""

import inspect
import sys
import types


def with_fault(component, old, new):
    """A component class whose file has ``new`` in the one place of ``old``."""
    source = inspect.getsource(sys.modules[component.__module__])
    assert source.count(old) == 1, f"{source.count(old)} places in {component.__module__}: {old}"
    module = types.ModuleType(component.__module__)
    exec(compile(source.replace(old, new), f"{component.__name__} with a fault", "exec"), module.__dict__)
    return getattr(module, component.__name__)
