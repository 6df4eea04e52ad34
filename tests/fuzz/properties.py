"""How many examples each property is tried on, and the decorator that says so.

Short forms run with all tests and always try the same examples; the long ones are marked ``slow`` and go on from there.
``LNSMADAM_FUZZ_SEED`` is another beginning, for a search by hand.
"""

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, settings

#: Property → examples of its short form and of its long one; of what goes through units, for each of them.
EXAMPLES = {
    "hardware_is_the_golden_model": (2, 40),
    "lns_formats": (150, 3000),
    "fixed_formats": (100, 2000),
    "float_formats": (100, 2000),
    "format_texts": (200, 5000),
    "command_lines": (200, 10000),
    "manifests": (200, 4000),
    "reports_of_boards": (200, 4000),
    "damaged_files": (150, 5000),
    "rewritten_files": (120, 2000),
    "interrupted_saves": (40, 400),
    "decoded_bytes": (300, 10000),
    "requests_on_a_faulty_line": (60, 1500),
    "answers_to_other_requests": (100, 2000),
    "states_on_a_faulty_line": (10, 200),
}

_BOTH = dict(
    derandomize=True, deadline=None, database=None, verbosity=Verbosity.quiet,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)  # fmt: skip
# What a build takes seconds for is not tried again and again to make it smaller.
_FOUND = (Phase.explicit, Phase.generate)


def property_of(name, /, shrink=True, **strategies):
    """Decorates a function of one example; gives its short form and its long one, as two tests."""
    short, long = EXAMPLES[name]

    def decorate(function):
        def form(examples):
            phases = (*_FOUND, Phase.shrink) if shrink else _FOUND
            options = settings(max_examples=examples, phases=phases, **_BOTH)
            return options(given(**strategies)(function))

        return form(short), pytest.mark.slow(form(long))

    return decorate
