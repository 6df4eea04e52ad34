"""``lnsmadam prove``: formal proofs."""

import time
from pathlib import Path

import click
from rich.table import Table

from lnsmadam.console import console, progress_bar, records_option
from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.proof import Proof, check
from lnsmadam.proof.records import Kind, Record, save
from lnsmadam.proof.sby import Verdict
from lnsmadam.proofs import chosen


def _verdict(proof: Proof) -> Verdict:
    """A proof without a verdict fails and does not keep the others from theirs."""
    started = time.perf_counter()
    try:
        return check(proof)
    except ToolFailed as error:
        return Verdict(False, time.perf_counter() - started, str(error).splitlines()[0])


def _result(proof: Proof, verdict: Verdict) -> str:
    return "proved" if verdict.proved else f"FAILED: {proof.explain(verdict)}"


def _record(proof: Proof, verdict: Verdict) -> Record:
    return Record(
        proof.subject,
        Kind.PROVED,
        f"{proof.statement} ({proof.configuration})",
        _result(proof, verdict),
        verdict.proved,
        f"lnsmadam prove {proof.subject}{' --long' * proof.is_long}",
        verdict.seconds,
    )


@click.command()
@click.argument("subjects", metavar="[SUBJECT]...", nargs=-1)
@click.option("--long/--no-long", "with_long", default=False, show_default=True, help="Also what takes minutes.")
@records_option
def prove(subjects: tuple[str, ...], with_long: bool, records: Path | None) -> int:
    """Proves what holds for every input, of these subjects or of all.

    A subject is a unit, or another part of which something is proved. What was proved before is not proved again
    while circuit, statement and tools are the same.
    """
    proofs = chosen(subjects, with_long=with_long)
    verdicts = []
    by_subject: dict[str, list[Record]] = {}
    with progress_bar() as show:
        for done, proof in enumerate(proofs):
            show(str(proof), done, len(proofs))
            verdict = _verdict(proof)
            verdicts.append(verdict)
            found = by_subject.setdefault(proof.subject, [])
            found.append(_record(proof, verdict))
            if records:
                # After each: all of them take hours the first time.
                save(records, f"proved-{proof.subject}", found)
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
    return 0 if all(verdict.proved for verdict in verdicts) else 1
