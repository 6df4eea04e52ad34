"""Logarithmic arithmetic that learns: hardware generator, golden model and evidence."""
