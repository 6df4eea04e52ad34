"""Attacks on the evidence: proofs, mutations, netlists, volume, coverage."""
