"""A trainer's Verilog inside a wrapper that makes mistakes at its ports."""

import dataclasses
import re

HEAD = """
module trainer(clk, rst, samples__payload, samples__valid, samples__ready, learn, lr_shift, gate_on, gate_margin,
  results__payload, results__valid, results__ready, access__payload, access__valid, access__ready,
  answer__payload, answer__valid, answer__ready, idle, phase);
  input clk, rst, samples__valid, learn, gate_on, results__ready, access__valid, answer__ready;
  input [{samples_msb}:0] samples__payload;
  input [2:0] lr_shift;
  input [15:0] gate_margin;
  input [55:0] access__payload;
  output samples__ready, results__valid, access__ready, answer__valid, idle;
  output [{results_msb}:0] results__payload;
  output [31:0] answer__payload;
  output [1:0] phase;
  wire valid;
  wire [{results_msb}:0] payload;
"""


def around(machine, emitted, body):
    """The emitted trainer as module ``core``, and around it a module ``trainer`` with its ports and this body, in
    which ``valid`` and ``payload`` are the core's results."""
    inside = re.sub(r"\bmodule trainer\(", "module core(", emitted.verilog)
    assert inside != emitted.verilog
    head = HEAD.format(samples_msb=machine.sample_width - 1, results_msb=machine.label_bits + 1)
    return dataclasses.replace(emitted, verilog=inside + head + body)
