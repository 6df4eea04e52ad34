"""Proofs, for all operands and all time: what is stated of which circuit, and the solver that shows it."""
