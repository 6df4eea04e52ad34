"""Circuits: Amaranth components, one per unit."""
