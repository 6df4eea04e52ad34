"""Attacks on the evidence, and the records of what each found: a folder a kind, netlists beside them."""
