"""Proofs and statements as a test's parameters."""

import pytest


def title(statement):
    """Of a statement that :func:`lnsmadam.proof.formal.claim.about` lists."""
    return f"{statement.unit} {statement.name}"


def marked(proofs):
    """Proofs by name, the long ones slow."""
    return [pytest.param(proof, id=str(proof), marks=[pytest.mark.slow] if proof.is_long else []) for proof in proofs]
