"""Whether a fault changes a circuit at all.

A mutant that is the same circuit cannot be noticed. Unit and mutant are cut at their registers, which have the same
names: where outputs and next states are the same for every input and every state, reachable or not, nothing can ever
differ. If that is what it takes, registers that no output depends on by the wires are left out, bit by bit, and those
that keep the value they have from power-on, because nothing else is ever written, are that value.

Where some state that no operands lead to would show a difference, four proofs together say the same:

1. As long as nothing waits and no reset comes, outputs are equal once the pipeline has filled, whatever the pipelines
   of the two held as many cycles before as they have stages. Only registers that feed back, such as those of random
   bits, held the same.
2. Ready, valid and the valid bits are the same in every state, resets included.
3. While a result waits, the mutant's registers do what the unit's do in every state: they hold.
4. While nothing waits, it does not matter to the mutant's registers whether the receiver is ready.

By 3 and 4 the cycles in which a result waits can be left out of any run, by 2 of both runs at once; what remains is 1.
Before the pipeline has filled, and of what reset drops, valid is 0, and no payload is asked for. That what feeds back
is the same follows from the wires: it does not depend on the faulty cell.

A fault behind a register, at Q, leaves no two registers to compare. It leaves each register to hold what it holds, and
where ready, valid and the valid bits do not depend on the register, 2 to 4 are true of it.
"""

from functools import lru_cache

from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.mutation.dependence import Dependence
from lnsmadam.proof.mutation.mutants import Mutant, Mutated
from lnsmadam.proof.yosys import SIMPLIFY, yosys
from lnsmadam.sim.build import scratch_folder

#: What its solver, and all of a proof, may take; one that takes longer is none.
TIMEOUT_S, ALL_TIMEOUT_S = 60, 240

# A memory's synchronous read port is a table and a register behind it; enables and resets are logic before registers.
_REGISTERS = ("memory -nomap", "memory_nordff", "memory_map -rom-only", "dffunmap", "opt_clean")
# What no output depends on, register bit by register bit.
_WITHOUT_UNREAD = ("simplemap", "splitnets", "opt_clean -purge")
# Registers that are constant from power-on; what is left of both must have the same names.
_WITHOUT_CONSTANT = ("simplemap", "splitnets", "opt", "dffunmap", "opt_clean -purge")
# A register's output becomes an input of its name, what it takes next an output.
_CUT = ("expose -dff -evert-dff gold gate", "opt_clean", "select -assert-none t:$*ff* t:$*latch* t:$mem*")
_MITER = ("miter -equiv -flatten -make_outputs gold gate miter", "hierarchy -top miter", SIMPLIFY)
# AND gates that are equivalent in the two are merged, which leaves nothing of most faults that change nothing.
_MERGE = ("techmap", "opt", "abc -g AND -script +strash;ifraig;scorr;dc2;fraig;dc2", "opt")
_SAT = f"sat -verify -prove trigger 0 -timeout {TIMEOUT_S}"
# Of a waiting pipeline.
_WAITS = "-set in_rst 0 -set in_o__ready 0 -set gold_o__valid 1"
_NOTHING_WAITS = ("delete -input w:o__ready w:rst", "connect -set o__ready 1'1", "connect -set rst 1'0")

# Of Yosys' last words: the two differ in some state, or took too long, or a fault behind a register left no two
# registers to compare.
_NOT_PROVED = (
    *("proof did fail", "time out", "timeout", "No matching port", "selection is not empty", "Failed to prove"),
    *("induction failed", "Reached maximum number of time steps"),
)


def _proved(mutated: Mutated, mutant: Mutant, *commands: str) -> bool:
    """Whether Yosys goes through all commands on ``gold``, the unit, and ``gate``, the mutant."""
    name = mutated.emitted.name
    options = mutant.options.replace(f"-module {name} ", "-module gate ")
    pair = (
        *("read_rtlil unit.il", f"rename {name} gold", "design -stash first"),
        *("read_rtlil unit.il", f"rename {name} gate", f"mutate {options}"),
        "design -copy-from first -as gold gold",
    )
    with scratch_folder() as folder:
        (folder / "unit.il").write_text(mutated.netlist, encoding="utf-8")
        try:
            log = yosys(folder, *pair, *_REGISTERS, *commands, "log all commands done", timeout=ALL_TIMEOUT_S)
        except ToolFailed as error:
            if any(reason in str(error) for reason in _NOT_PROVED):
                return False
            raise
    # A Yosys that ends early with a good status has proved nothing.
    if "\nall commands done\n" not in log:
        raise ToolFailed(f"Yosys ended before its proof: {log.strip().splitlines()[-1]}")
    return True


def equivalent(mutated: Mutated, mutant: Mutant) -> str | None:
    """How it was proved that a mutant cannot be told from the unit; None where it was not."""
    if _proved(mutated, mutant, *_CUT, *_MITER, *_MERGE, f"{_SAT} miter"):
        return "outputs and next states are the same in every state"
    if _proved(mutated, mutant, *_WITHOUT_UNREAD, *_CUT, *_MITER, *_MERGE, f"{_SAT} miter"):
        return "outputs, and next states of what an output depends on, are the same in every state"
    if _proved(mutated, mutant, *_WITHOUT_CONSTANT, *_CUT, *_MITER, *_MERGE, f"{_SAT} miter"):
        return "outputs and next states are the same from power-on, in every state of the registers that change"
    if not mutated.emitted.manifest.get("reset") or not _moves_the_same(mutated, mutant):
        return None
    if _same_while_nothing_waits(mutated, mutant):
        return "outputs are the same once the pipeline has filled, and it fills and waits the same"
    return None


@lru_cache(maxsize=4)
def _feedback(netlist: str, name: str) -> frozenset[str]:
    """Registers that feed back while nothing waits."""
    return frozenset(Dependence(netlist, name, *_REGISTERS[:-2], *_NOTHING_WAITS, "dffunmap", "opt -full").feedback())


@lru_cache(maxsize=16)
def _cells_before(netlist: str, name: str, nets: frozenset[str]) -> set[str]:
    return Dependence(netlist, name).cells_before(nets)


def _same_while_nothing_waits(mutated: Mutated, mutant: Mutant) -> bool:
    """Proof 1."""
    cycles = int(mutated.emitted.manifest["latency"]) + 1
    name = mutated.emitted.name
    feedback = _feedback(mutated.netlist, name)
    if feedback and mutant.cell in _cells_before(mutated.netlist, name, feedback):
        return False
    free = [line for side in ("gold", "gate") for line in (f"cd {side}", *_NOTHING_WAITS, "cd")]
    held = sorted(register.removeprefix("\\") for register in feedback)
    same = "".join(f" -set-at 1 gold.{register} gate.{register}" for register in held)
    prove = f"{_SAT} -seq {cycles} -prove-skip {cycles - 1}{same} miter"
    return _proved(mutated, mutant, *free, "setattr -unset init w:*", *_MITER, "dffunmap", "opt_clean", prove)


def _moves_the_same(mutated: Mutated, mutant: Mutant) -> bool:
    """Proofs 2 to 4."""
    if mutant.port.startswith("Q["):
        handshake = frozenset({"i__ready", "o__valid"})
        return mutant.cell not in _cells_before(mutated.netlist, mutated.emitted.name, handshake)
    # All outputs but these: "%d" takes one selection from the one below it, so that the three become one before.
    kept = [
        f"delete -output {side}/o:* {side}/w:valid_*.d {side}/w:i__ready {side}/w:o__valid %u %u %d"
        for side in ("gold", "gate")
    ]
    kept += ["select -assert-any gold/o:i__ready", "select -assert-any gold/o:valid_*.d"]
    # The mutant beside itself, with a receiver that is ready and one that is not.
    twice = [
        "delete gold", "copy gate gold", "cd gate", "delete -input w:o__ready", "connect -set o__ready 1'1", "cd",
        "cd gold", "delete -input w:o__ready", "connect -set o__ready 1'0", "cd",
    ]  # fmt: skip
    return (
        _proved(mutated, mutant, *_CUT, *kept, "opt_clean -purge", *_MITER, f"{_SAT} miter")
        and _proved(mutated, mutant, *_CUT, *_MITER, f"{_SAT} {_WAITS} miter")
        and _proved(mutated, mutant, *_CUT, *twice, *_MITER, f"{_SAT} -set in_rst 0 -set gold_o__valid 0 miter")
    )
