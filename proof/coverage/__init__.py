"""What the stimulus reaches in the Verilog, and the tests in the Python."""
