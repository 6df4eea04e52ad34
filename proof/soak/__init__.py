"""Volume: seeded random transfers by the thousand million."""
