"""A smaller run of the same Verilog in Icarus Verilog, where it is installed: a second reading of the
language,
with four-valued signals."""

import re
import time

from lnsmadam.hw.emit import Emitted
from lnsmadam.hw.toolchain import MissingTool, ToolFailed
from lnsmadam.sim.build import scratch_folder
from lnsmadam.sim.ports import Check, Columns, Model, Ports, first_mismatch
from lnsmadam.sim.tools import icarus

_NAME = "icarus"
_TIMEOUT_SECONDS = 120.0


def icarus_bench(ports: Ports, count: int, seed: int) -> str:
    """Plain Verilog-2005: sends ``operands.hex`` under random pauses on both sides, prints every result.

    Lines are ``result <hex>``, then ``end``; a hang ends with ``hang``.
    """
    inputs, outputs = ports.input, ports.output
    clock = f".{ports.clock}(clk), " if ports.clock else ""
    reset = f".{ports.reset}(rst), " if ports.reset else ""
    patience = 4096 + 16 * (ports.latency + ports.interval)
    return f"""`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 1, i_valid = 0, o_ready = 0, offered = 0;
  wire i_ready, o_valid;
  reg [{inputs.width - 1}:0] operands [0:{count - 1}];
  reg [{inputs.width - 1}:0] i_payload;
  wire [{outputs.width - 1}:0] o_payload;
  integer sent = 0, received = 0, idle = 0, trailing = 0, seed = {seed % 2**31};
  {ports.top} unit({clock}{reset}
    .{inputs.valid}(i_valid), .{inputs.ready}(i_ready), .{inputs.payload}(i_payload),
    .{outputs.valid}(o_valid), .{outputs.ready}(o_ready), .{outputs.payload}(o_payload));
  initial begin
    $readmemh("operands.hex", operands);
    repeat (4) begin
      #5 clk = 1;
      #5 clk = 0;
    end
    rst = 0;
    // Some cycles more than there are results: an extra one would show.
    while (trailing < {2 * ports.latency + 8}) begin
      offered = offered | (sent < {count} && $random(seed) % 4 != 0);
      i_valid = offered;
      i_payload = offered ? operands[sent] : {{{inputs.width}{{1'bx}}}};
      o_ready = $random(seed) % 4 != 0;
      #5;
      idle = idle + 1;
      if (o_valid !== 0 && o_ready) begin
        if (o_valid === 1) $display("result %h", o_payload);
        else $display("unknown valid");
        received = received + 1;
        idle = 0;
      end
      if (offered && i_ready === 1) begin
        sent = sent + 1;
        offered = 0;
        idle = 0;
      end
      if (idle > {patience}) begin
        $display("hang");
        $finish;
      end
      clk = 1;
      #5 clk = 0;
      if (received >= {count}) begin
        idle = 0;
        trailing = trailing + 1;
      end
    end
    $display("end");
    $finish;
  end
endmodule
"""


def run_icarus(emitted: Emitted, model: Model, operands: Columns, *, seed: int = 0) -> Check:
    """Compares a few thousand transfers; skipped, with a word, where Icarus Verilog is not installed.

    Parameters
    ----------
    emitted : Emitted
    model : Model
        Called once, with index 0.
    operands : dict
        Columns of words.
    seed : int
        Of the pauses.

    Raises
    ------
    ValueError
        There are no operands, or the model's fields are not the unit's.
    """
    ports = Ports.of(emitted.manifest)
    columns = ports.input.columns(operands)
    count = len(next(iter(columns.values())))
    if not count:
        raise ValueError("There was nothing to compare: no operands were given")
    try:
        iverilog, vvp = icarus()
    except MissingTool as missing:
        return Check(_NAME, 0, True, f"skipped: {missing}", skipped=True)
    started = time.perf_counter()

    def outcome(compared: int, passed: bool, message: str) -> Check:
        return Check(_NAME, compared, passed, message, seconds=time.perf_counter() - started)

    with scratch_folder() as folder:
        (folder / "unit.v").write_text(emitted.verilog, encoding="utf-8")
        (folder / "bench.v").write_text(icarus_bench(ports, count, seed), encoding="utf-8")
        payloads = "".join(f"{payload:x}\n" for payload in ports.input.pack(columns))
        (folder / "operands.hex").write_text(payloads, encoding="utf-8")
        try:
            iverilog.run("-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v", "unit.v", cwd=folder)
            printed = vvp.run("-n", "bench.vvp", cwd=folder, timeout=_TIMEOUT_SECONDS)
        except ToolFailed as failure:
            return outcome(0, False, " ".join(str(failure).split()))
    lines = printed.splitlines()
    words = [line.split()[1] for line in lines if line.startswith("result ")]
    if "unknown valid" in lines:
        return outcome(0, False, "valid is neither 0 nor 1")
    rows = min(len(words), count)
    if unknown := [number for number in range(rows) if not re.fullmatch("[0-9a-f]+", words[number])]:
        return outcome(unknown[0], False, f"result {unknown[0]} has unknown bits: {words[unknown[0]]}")
    got = ports.output.columns(
        {
            item.name: [ports.output.unpack(int(word, 16))[item.name] for word in words[:rows]]
            for item in ports.output.fields
        }
    )
    want = ports.output.columns(model(columns, 0))
    mismatch = first_mismatch(ports, columns, got, want, 0) if rows else None
    if mismatch is not None:
        return outcome(mismatch.index + 1, False, str(mismatch))
    if "end" not in lines:
        return outcome(rows, False, f"hangs after {len(words)} of {count} results")
    if len(words) != count:
        return outcome(rows, False, f"{len(words)} results of {count} transfers")
    return outcome(rows, True, f"{rows} transfers under stalls, seed {seed}")
