"""Whether a fault changes a circuit at all.

A mutant that is the same circuit cannot be noticed. Unit and mutant are cut at their registers, which have the same
names: where outputs and next states are the same for every input and every state, reachable or not, nothing can ever
differ.

Where some state that no operands lead to would show a difference, four proofs together say the same:

1. As long as nothing waits and no reset comes, outputs are equal once the pipeline has filled, from any state
   (induction over as many cycles as it has stages).
2. Ready, valid and the valid bits are the same in every state, resets included.
3. While a result waits, the mutant's registers do what the unit's do in every state: they hold.
4. While nothing waits, it does not matter to the mutant's registers whether the receiver is ready.

By 3 and 4 the cycles in which a result waits can be left out of any run, by 2 of both runs at once; what remains is 1.
Before the pipeline has filled, and of what reset drops, valid is 0, and no payload is asked for.
"""

from lnsmadam.hw.toolchain import ToolFailed
from lnsmadam.proof.mutation import Mutant, Mutated
from lnsmadam.proof.yosys import yosys
from lnsmadam.sim.build import scratch_folder

#: What a proof may take; one that takes longer is none.
TIMEOUT_S = 60

# A memory's synchronous read port is a table and a register behind it; enables and resets are logic before registers.
_REGISTERS = ("memory -nomap", "memory_nordff", "memory_map -rom-only", "dffunmap", "opt_clean")
# A register's output becomes an input of its name, what it takes next an output.
_CUT = ("expose -evert-dff gold gate", "opt_clean", "select -assert-none t:$*ff* t:$*latch* t:$mem*")
_MITER = ("miter -equiv -flatten -make_outputs gold gate miter", "hierarchy -top miter", "opt -full")
# AND gates that are equivalent in the two are merged, which leaves nothing of most faults that change nothing.
_MERGE = ("techmap", "opt", "abc -g AND -script +strash;ifraig;scorr;dc2;fraig;dc2", "opt")
_SAT = f"sat -verify -prove trigger 0 -timeout {TIMEOUT_S}"
# Of a waiting pipeline.
_WAITS = "-set in_rst 0 -set in_o__ready 0 -set gold_o__valid 1"

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
            log = yosys(folder, *pair, *_REGISTERS, *commands, "log all commands done")
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
    if not mutated.emitted.manifest.get("reset") or not _moves_the_same(mutated, mutant):
        return None
    if _same_while_nothing_waits(mutated, mutant):
        return "outputs are the same once the pipeline has filled, and it fills and waits the same"
    return None


def _same_while_nothing_waits(mutated: Mutated, mutant: Mutant) -> bool:
    """Proof 1."""
    cycles = int(mutated.emitted.manifest["latency"]) + 1
    free = []
    for side in ("gold", "gate"):
        free += [
            f"cd {side}",
            "delete -input w:o__ready w:rst",
            "connect -set o__ready 1'1",
            "connect -set rst 1'0",
            "cd",
        ]
    prove = f"{_SAT} -seq {cycles} -tempinduct -maxsteps {cycles + 2} miter"
    return _proved(mutated, mutant, *free, "setattr -unset init w:*", *_MITER, "dffunmap", "opt_clean", prove)


def _moves_the_same(mutated: Mutated, mutant: Mutant) -> bool:
    """Proofs 2 to 4."""
    if mutant.port.startswith("Q[") and mutant.wire and "valid" not in mutant.wire:
        # A fault behind a register that holds data leaves it to take, and to hold, what it did.
        return True
    handshake = "w:valid_*.d w:i__ready w:o__valid"
    kept = [f"delete -output {side}/o:* {' '.join(f'{side}/{wire}' for wire in handshake.split())} %d"
            for side in ("gold", "gate")]  # fmt: skip
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
