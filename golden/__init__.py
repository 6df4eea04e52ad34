"""Meaning and bits: number formats and the integer functions that the hardware must equal."""
