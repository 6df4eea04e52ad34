"""The properties that are searched for a counterexample: what each claims, and how many examples it is tried on.

Short forms run with all tests and always try the same examples; the long ones are marked ``slow`` and go on from there.
The environment variable ``LNSMADAM_FUZZ_SEED`` is another beginning of both, for a search by hand.
"""

import functools
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings


class Property(NamedTuple):
    """What holds of every example, in one clause, and the examples of its short form and of its long one."""

    claim: str
    short: int
    long: int


#: Every property; of what goes through units, the examples are those of each of them.
PROPERTIES = {
    "hardware_is_the_golden_model": Property(
        "any configuration of any unit is refused in one line or its Verilog is the golden model", 2, 40
    ),
    "compiled_network_is_the_plain_one": Property(
        "any network's compiled model learns what the NumPy model learns, every bit", 120, 3000
    ),
    "hardware_is_the_golden_network": Property(
        "any network's emitted trainer learns what the golden network learns, every bit, under stalls", 2, 40
    ),
    "lns_formats": Property("words, logs and reals of any LNS format belong together", 150, 3000),
    "fixed_formats": Property("words and integers of any fixed-point format belong together", 100, 2000),
    "float_formats": Property("words and reals of any float format belong together", 100, 2000),
    "format_texts": Property("any text of a format is refused or round-trips", 200, 5000),
    "command_lines": Property(
        "any command line ends with a status, at most one line of error and whole files", 200, 10000
    ),
    "manifests": Property("a changed manifest is refused in one line or read as ports that can be", 200, 4000),
    "reports_of_boards": Property("a changed report of a board is refused in one line or can be used", 200, 4000),
    "damaged_files": Property("a damaged file of a network is refused or read as what was saved", 150, 5000),
    "rewritten_files": Property("a network's file of another writer is refused or holds a whole network", 120, 2000),
    "interrupted_saves": Property("a save that ends at any point leaves the old file whole", 40, 400),
    "decoded_bytes": Property("no frame is taken from a line that was not on it whole, with its CRC", 300, 10000),
    "payloads": Property("a payload of any length is refused in one line or is what was sent", 300, 10000),
    "requests_on_a_faulty_line": Property(
        "what a board acknowledges on a faulty line is written, what it answers is read", 60, 1500
    ),
    "answers_to_other_requests": Property("no answer to another request is taken", 100, 2000),
    "states_on_a_faulty_line": Property(
        "a training over a faulty line ends in an error or with golden's state, every bit", 10, 200
    ),
}

SEED = os.environ.get("LNSMADAM_FUZZ_SEED")


@dataclass
class Count:
    """What ran of a property: examples, tests that found one against it, seconds."""

    examples: int = 0
    failed: int = 0
    seconds: float = 0.0

    def add(self, examples, failed, seconds):
        self.examples += examples
        self.failed += failed
        self.seconds += seconds


#: By name, those that ran in this process; where it distributes, in its processes.
COUNTS: dict[str, Count] = defaultdict(Count)

_BOTH = dict(
    derandomize=SEED is None, deadline=None, database=None, verbosity=Verbosity.quiet,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)  # fmt: skip
# What a build takes seconds for is not tried again and again to make it smaller.
_FOUND = (Phase.explicit, Phase.generate)


def property_of(name, /, shrink=True, **strategies):
    """Decorates a function of one example; gives its short form and its long one, as two tests."""
    phases = (*_FOUND, Phase.shrink) if shrink else _FOUND

    def decorate(function):
        @functools.wraps(function)
        def counted(*arguments, **named):
            function(*arguments, **named)
            # What an assumption excludes is no example.
            COUNTS[name].add(1, 0, 0.0)

        def form(examples):
            test = settings(max_examples=examples, phases=phases, **_BOTH)(given(**strategies)(counted))
            test.property_name = name
            return test if SEED is None else seed(SEED)(test)

        return form(PROPERTIES[name].short), pytest.mark.slow(form(PROPERTIES[name].long))

    return decorate
