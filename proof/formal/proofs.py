"""The list of all proofs: what ``prove`` runs."""

from collections.abc import Callable, Iterable, Sequence

from lnsmadam.proof.formal import (
    arithmetic,
    conversions,
    frame_parser,
    frame_sender,
    frame_server,
    madam,
    pipeline,
    random_bits,
    serial_line,
    trainer_control,
)
from lnsmadam.proof.formal.proof import Proof

#: Where proofs come from; each makes its list when it is asked for.
SOURCES: tuple[Callable[[], Iterable[Proof]], ...] = (
    arithmetic.proofs,
    conversions.proofs,
    madam.proofs,
    pipeline.proofs,
    trainer_control.proofs,
    frame_parser.proofs,
    frame_sender.proofs,
    frame_server.proofs,
    serial_line.proofs,
    random_bits.proofs,
)


def all_proofs() -> list[Proof]:
    """Every proof, long ones too, in the order of the sources."""
    return [proof for source in SOURCES for proof in source()]


def chosen(subjects: Sequence[str], *, with_long: bool = False) -> list[Proof]:
    """The proofs of these subjects, or of all where none is named.

    Raises
    ------
    ValueError
        Nothing is proved of a subject.
    """
    proofs = all_proofs()
    known = list(dict.fromkeys(proof.subject for proof in proofs))
    for subject in subjects:
        if subject not in known:
            raise ValueError(f"Nothing is proved of {subject!r}; subjects are {', '.join(known)}")
    return [
        proof for proof in proofs if (not subjects or proof.subject in subjects) and (with_long or not proof.is_long)
    ]
