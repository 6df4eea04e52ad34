"""How far the golden functions are from real numbers."""
