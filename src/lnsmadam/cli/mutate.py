"""``lnsmadam mutate``: faults in a unit's netlist, and how many of them the bench notices."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from lnsmadam.cli.options import unit_options
from lnsmadam.console import EXIT_STATUS, as_typed, console, progress_bar, records_option, verdict
from lnsmadam.golden.config import UnitConfig
from lnsmadam.proof.mutation.equivalence import equivalent
from lnsmadam.proof.mutation.mutants import Bench, Mutant, Mutated, Outcome, attack, mutate
from lnsmadam.proof.mutation.survivors import reason
from lnsmadam.proof.records import Kind, Record, save
from lnsmadam.units import Unit

DEFAULT_COUNT = 300
#: Share of the mutants that change something which the bench must notice.
TARGET = 0.98


def attack_unit(unit: Unit, config: UnitConfig, count: int, seed: int, progress: Any = None) -> tuple[Mutated, Outcome]:
    """Picks mutants of a unit and runs them all."""
    mutated = mutate(unit.build(config), unit.emit(config), count, seed)
    bench = Bench(lambda: unit.model(config), config, unit.directed, seed=seed)
    return mutated, attack(mutated, bench, equivalent, progress)


def reasons(mutated: Mutated, outcome: Outcome) -> dict[Mutant, str | None]:
    """Why each survivor may live, where it is known."""
    return {mutant: reason(mutated.netlist, mutant) for mutant in outcome.survivors}


def _notes(outcome: Outcome, why: Mapping[Mutant, str | None]) -> list[str]:
    proofs = Counter(outcome.equivalent.values())
    return [
        *(f"survives: {mutant}: {text or 'not explained'}" for mutant, text in why.items()),
        *(f"{count} proved to change nothing: {how}" for how, count in proofs.most_common()),
    ]


def record_of(unit: str, outcome: Outcome, why: Mapping[Mutant, str | None], command: str) -> Record:
    """The line of evidence of a unit; ``why`` as :func:`reasons` gives it."""
    unexplained = sum(text is None for text in why.values())
    return Record(
        unit,
        Kind.MUTATION,
        "single faults in the netlist are noticed by the bench",
        f"{len(outcome.killed)} of {outcome.counted} killed, {outcome.share:.1%}; "
        f"{len(outcome.equivalent)} more proved to change nothing",
        outcome.share >= TARGET,
        command,
        outcome.seconds,
        {"short": f"{outcome.share:.1%} of {outcome.counted}", "notes": _notes(outcome, why),
         "killed": len(outcome.killed), "equivalent": len(outcome.equivalent), "survivors": len(outcome.survivors),
         "unexplained": unexplained},
    )  # fmt: skip


def mutate_command(unit: Unit) -> click.Command:
    """``lnsmadam mutate UNIT``."""

    @click.command(
        unit.name,
        help=f"Puts faults into {unit.name}, one at a time, and counts those that are noticed.",
        epilog=EXIT_STATUS,
    )
    @unit_options(unit)
    @click.option("-n", "--count", type=click.IntRange(1, 1 << 16), default=DEFAULT_COUNT, show_default=True)
    @click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of faults and operands.")
    @records_option
    def command(config: UnitConfig, count: int, seed: int, records: Path | None) -> int:
        with progress_bar(logged=True) as show:
            mutated, outcome = attack_unit(unit, config, count, seed, show)
        table = Table(title=f"{unit.name}: faults in its netlist", title_justify="left")
        for heading in ("killed", "same circuit, proved", "survive", "killed of those that change something"):
            table.add_column(heading, justify="right")
        counts = (outcome.killed, outcome.equivalent, outcome.survivors)
        table.add_row(*(str(len(found)) for found in counts), f"{outcome.share:.1%}")
        console().print(table)
        why = reasons(mutated, outcome)
        for note in _notes(outcome, why):
            click.echo(note)
        if records:
            save(records, as_typed(), [record_of(unit.name, outcome, why, as_typed())])
        unexplained = sum(text is None for text in why.values())
        return verdict(
            outcome.share >= TARGET,
            f"{outcome.share:.1%} of {outcome.counted} faults noticed, {TARGET:.0%} asked for; "
            f"{unexplained} of {len(why)} survivors not explained",
        )

    return command
