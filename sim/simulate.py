"""All the evidence for one unit: protocol, volume, and a second simulator."""

from collections.abc import Callable
from pathlib import Path

from lnsmadam.golden.config import UnitConfig
from lnsmadam.hw.emit import Emitted
from lnsmadam.sim.batch import Comparison, compare
from lnsmadam.sim.icarus import run_icarus
from lnsmadam.sim.ports import Check, Model
from lnsmadam.sim.protocol import TRANSFERS, run_protocol
from lnsmadam.sim.stimulus import Directed, protocol_operands, stimulus

#: Stage, transfers done, transfers in all; both 0 while a stage does not count.
Progress = Callable[[str, int, int], None]

_STALLED_COUNT = 1 << 18
_ICARUS_COUNT = 4000


def _rate(per_second: float) -> str:
    return f"{per_second / 1e6:.1f} million/s" if per_second >= 1e5 else f"{per_second:,.0f}/s"


def _check(name: str, comparison: Comparison, what: str, is_exhaustive: bool = False) -> Check:
    # A run of milliseconds says nothing about the rate.
    is_long = comparison.seconds > 0.5
    rate = f", {_rate(comparison.vectors_per_second)}" if is_long else ""
    message = comparison.failure or f"{what}{rate}"
    return Check(
        name, comparison.count, comparison.passed, message, seconds=comparison.seconds, is_exhaustive=is_exhaustive
    )


def run_batch(
    emitted: Emitted,
    model: Model,
    config: UnitConfig,
    *,
    seed: int = 0,
    count: int | None = None,
    directed: Directed | None = None,
    progress: Progress | None = None,
) -> list[Check]:
    """The checks ``batch`` and ``batch-stalls`` of :func:`simulate`, which has the same parameters."""
    say = progress or (lambda stage, done, total: None)
    chunks = stimulus(config, seed, count, directed)
    say("batch", 0, chunks.total)
    volume = compare(emitted, model, chunks, progress=lambda done: say("batch", done, chunks.total))
    checks = [_check("batch", volume, chunks.description, chunks.is_exhaustive)]

    stalled = chunks.first(min(chunks.total, _STALLED_COUNT))
    total = len(next(iter(stalled.values())))
    say("batch under stalls", 0, total)
    # One seed of pauses on every sixteenth part: transfers go on from one to the next.
    step = max(1, total // 16)
    parts = ({name: column[at : at + step] for name, column in stalled.items()} for at in range(0, total, step))
    under_stalls = compare(
        emitted, model, parts, stalls_seed=seed, progress=lambda done: say("batch under stalls", done, total)
    )
    checks.append(_check("batch-stalls", under_stalls, "random pauses on both sides"))
    return checks


def simulate(
    emitted: Emitted,
    model: Model,
    config: UnitConfig,
    *,
    seed: int = 0,
    count: int | None = None,
    waves: Path | None = None,
    directed: Directed | None = None,
    progress: Progress | None = None,
) -> list[Check]:
    """Runs the emitted Verilog against the golden model.

    The checks are those of :func:`~lnsmadam.sim.protocol.run_protocol`; ``batch``, every argument or a sample
    (see :func:`~lnsmadam.sim.stimulus.stimulus`) at full speed; ``batch-stalls``, some of the same under
    random pauses; ``icarus``, skipped where Icarus Verilog is not installed. All run, whatever the earlier
    ones say.

    Parameters
    ----------
    emitted : Emitted
    model : Model
    config : UnitConfig
        Whose ``inputs`` the operands are drawn for.
    seed : int
        Of operands and pauses; the same seed gives the same run.
    count : int, optional
        At most so many transfers in ``batch``.
    waves : Path, optional
        Folder for a waveform of the protocol bench.
    directed : function, optional
        The unit's own operands.
    progress : function, optional
        Called often, with the stage and how far it is.

    Returns
    -------
    list of Check

    Raises
    ------
    ValueError
        ``count`` is not positive, or there is nothing to compare.
    MissingTool, ToolFailed
        There is no Verilator or C++ compiler, or the Verilog does not compile.
    """
    say = progress or (lambda stage, done, total: None)
    # A wrong count is told before the first build.
    stimulus(config, seed, count, directed)
    say("protocol", 0, 0)
    checks = run_protocol(
        emitted,
        model,
        protocol_operands(config, seed, TRANSFERS, directed),
        seed=seed,
        waves=waves,
        progress=lambda text: say(f"protocol: {text}", 0, 0),
    )
    checks += run_batch(emitted, model, config, seed=seed, count=count, directed=directed, progress=progress)

    say("icarus", 0, 0)
    operands = protocol_operands(config, seed + 1, _ICARUS_COUNT, directed)
    checks.append(run_icarus(emitted, model, operands, seed=seed))
    return checks
