"""Evidence: runs the emitted Verilog against the golden model."""
