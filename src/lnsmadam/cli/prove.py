"""``lnsmadam prove``: formal proofs."""

import time
from collections import Counter
from pathlib import Path

import click
from rich.table import Table

from lnsmadam.console import EXIT_STATUS, console, log_piece, progress_bar, records_option
from lnsmadam.console import verdict as conclude
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.formal.proof import Proof, check
from lnsmadam.proof.formal.proofs import chosen
from lnsmadam.proof.formal.sby import Mode, Verdict
from lnsmadam.proof.records import Kind, Record, save


def _verdict(proof: Proof) -> Verdict:
    """A proof without a verdict fails and does not keep the others from theirs."""
    started = time.perf_counter()
    try:
        return check(proof)
    except ToolFailed as error:
        return Verdict(False, time.perf_counter() - started, str(error).splitlines()[0])


def _cycles(proof: Proof) -> int | None:
    """From power-on, for which alone something is shown; None where it is shown for good."""
    return proof.depth if proof.mode is Mode.BOUNDED and proof.depth > 1 else None


def _result(proof: Proof, verdict: Verdict) -> str:
    if not verdict.proved:
        return f"FAILED: {proof.explain(verdict)}"
    cycles = _cycles(proof)
    return "proved" if cycles is None else f"proved for {cycles} cycles"


def _record(proof: Proof, verdict: Verdict) -> Record:
    return Record(
        proof.subject,
        Kind.PROVED,
        f"{proof.statement} ({proof.configuration})",
        _result(proof, verdict),
        verdict.proved,
        proof.command,
        verdict.seconds,
        {} if (cycles := _cycles(proof)) is None else {"cycles": cycles},
    )


@click.command(epilog=EXIT_STATUS)
@click.argument("subjects", metavar="[SUBJECT]...", nargs=-1)
@click.option("--long/--no-long", "with_long", default=False, show_default=True, help="Also what takes minutes.")
@records_option
def prove(subjects: tuple[str, ...], with_long: bool, records: Path | None) -> int:
    """Proves what holds for every input, of these subjects or of all.

    A subject is a unit, or trainer, frames or uart. What was proved before is not proved again
    while circuit, statement and tools are the same.
    """
    proofs = chosen(subjects, with_long=with_long)
    verdicts: list[Verdict] = []
    of_each = Counter(proof.command for proof in proofs)
    by_command: dict[str, list[Record]] = {}
    with progress_bar() as show:
        for done, proof in enumerate(proofs):
            show(str(proof), done, len(proofs))
            verdict = _verdict(proof)
            verdicts.append(verdict)
            log_piece(f"{proof}: {_result(proof, verdict)}, {verdict.seconds:.1f} s", done + 1, len(proofs))
            command = proof.command
            found = by_command.setdefault(command, [])
            found.append(_record(proof, verdict))
            # All of a command or none: what was proved is not proved again by the next run.
            if records and len(found) == of_each[command]:
                save(records, command, found)
    table = Table(title="Proofs", title_justify="left")
    for heading in ("subject", "statement", "configuration", "result", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", overflow="fold")
    for proof, verdict in zip(proofs, verdicts, strict=True):
        result = _result(proof, verdict)
        table.add_row(
            proof.subject,
            proof.statement,
            proof.configuration,
            result if verdict.proved else f"[bold red]{result}",
            f"{verdict.seconds:.1f}",
        )
    console().print(table)
    failed = [str(proof) for proof, verdict in zip(proofs, verdicts, strict=True) if not verdict.proved]
    count = f"{len(proofs) - len(failed)} of {len(proofs)} proved"
    return conclude(not failed, f"{count}; not: {', '.join(failed)}" if failed else count)
