import pytest
from amaranth.hdl import Module, Signal
from planted import Greedy, boundary_without_reset

from lnsmadam.golden.divide import DivideConfig
from lnsmadam.golden.dot_config import DotConfig
from lnsmadam.golden.madam_update import MadamUpdateConfig
from lnsmadam.golden.multiply_add import MultiplyAddConfig
from lnsmadam.hw import divide, pipeline
from lnsmadam.hw.divide import Divide
from lnsmadam.hw.dot import Dot
from lnsmadam.hw.lfsr import LFSR
from lnsmadam.hw.madam_update import MadamUpdate
from lnsmadam.hw.multiply_add import MultiplyAdd
from lnsmadam.proof.formal.pipeline import VECTORS, pipeline_proof, proofs, vectors_proof
from lnsmadam.proof.formal.proof import check
from lnsmadam.units import UNITS

PLACE = pipeline.place_register


def failed(config, make):
    """The assertion that does not hold, by its message."""
    verdict = check(pipeline_proof(config, make, "planted"))
    assert not verdict.proved and verdict.is_inductive
    return verdict.failed


def test_unit(proved):
    proved(pipeline_proof(MultiplyAddConfig(), MultiplyAdd, "lns8"))


@pytest.fixture
def plant(monkeypatch):
    """Places the register of a name in another way."""

    def change(wanted, make):
        def place(m, value, *, name, force, is_registered, enable=None):
            if name != wanted:
                return PLACE(m, value, name=name, force=force, is_registered=is_registered, enable=enable)
            return make(m, value, name=name, force=force, is_registered=is_registered, enable=enable)

        monkeypatch.setattr(pipeline, "place_register", place)

    return change


def test_register_without_enable(plant):
    plant("total_5", lambda m, value, **options: PLACE(m, value, **options | {"enable": None}))
    assert failed(MultiplyAddConfig(), MultiplyAdd) == "total_5 keeps its value in a stall"


def test_register_with_wrong_enable(monkeypatch):
    class Wrong(MultiplyAdd):
        def elaborate(self, platform):
            def place(m, value, **options):
                # What waits for the output alone leaves no room for bubbles to fill.
                enable = self.o.ready if options["name"] == "sign_5" else options["enable"]
                return PLACE(m, value, **options | {"enable": enable})

            monkeypatch.setattr(pipeline, "place_register", place)
            return super().elaborate(platform)

    assert failed(MultiplyAddConfig(), Wrong) == "sign_5 takes its value of the transfer"


def test_one_stage_late(plant):
    def late(m, value, **options):
        signal = PLACE(m, value, **options)
        again = Signal.like(signal, name="late", reset_less=True)
        with m.If(options["enable"]):
            m.d.sync += again.eq(signal)
        return again

    plant("subtract_2", late)
    # It stands between two stages: which of the two statements the solver refutes is open.
    said = failed(MultiplyAddConfig(), MultiplyAdd)
    assert said == "every stage has its valid bit" or said.endswith("takes its value of the transfer")


def test_one_stage_early(plant):
    plant("subtract_2", lambda m, value, **options: value)
    assert failed(MultiplyAddConfig(), MultiplyAdd).endswith("takes its value of the transfer")


def test_payload_of_the_wrong_stage(monkeypatch):
    class Wrong(Divide):
        def elaborate(self, platform):
            before = []

            def place(m, value, **options):
                if options["name"] == "invalid_2":
                    # The flag leaves with the result before it.
                    PLACE(m, value, **options)
                    return value
                before.append(options["name"])
                return PLACE(m, value, **options)

            monkeypatch.setattr(pipeline, "place_register", place)
            return super().elaborate(platform)

    assert failed(DivideConfig(), Wrong) == "o.payload is that of the last stage"


def test_valid_not_cleared(monkeypatch):
    # The second stage.
    monkeypatch.setattr(pipeline.Pipeline, "boundary", boundary_without_reset(1))
    assert failed(MultiplyAddConfig(), MultiplyAdd) == "valid_2 is 0 after reset"


def test_ready_that_ignores_a_waiting_result(monkeypatch):
    monkeypatch.setattr(divide, "Pipeline", Greedy)
    assert failed(DivideConfig(), Divide) == "i.ready is ~o.valid | o.ready | reset"


def test_random_bits_that_move_without_a_transfer(monkeypatch):
    def draw(self):
        self._m.submodules.lfsr = lfsr = LFSR(self.config.lfsr)
        self._m.d.comb += lfsr.advance.eq(self.i.valid)
        return lfsr.draw

    monkeypatch.setattr(MadamUpdate, "_draw", draw)
    assert failed(MadamUpdateConfig(pipeline=2), MadamUpdate) in (
        "lfsr.state keeps its value in a stall",
        "lfsr.state moves with each transfer, and only then",
    )


def test_random_bits_of_a_later_transfer(monkeypatch):
    """Drawn where they are used instead of where the transfer comes in."""
    original = MadamUpdate.elaborate

    def elaborate(self, platform):
        def place(m, value, **options):
            return value if options["name"].startswith("step_random_") else PLACE(m, value, **options)

        monkeypatch.setattr(pipeline, "place_register", place if self.config.pipeline > 1 else PLACE)
        return original(self, platform)

    monkeypatch.setattr(MadamUpdate, "elaborate", elaborate)
    assert failed(MadamUpdateConfig(), MadamUpdate).endswith("takes its value of the transfer")


def test_valid_one_stage_early(monkeypatch):
    original = pipeline.Pipeline.boundary

    def boundary(self, *, memory=False):
        before = self._valid
        is_registered = original(self, memory=memory)
        if self._index == 1:
            self._valid = before
        return is_registered

    monkeypatch.setattr(pipeline.Pipeline, "boundary", boundary)
    assert failed(DivideConfig(), Divide)


def test_another_core():
    class Swapped(Divide):
        def elaborate(self, platform):
            m = Module()
            m.submodules.unit = unit = Divide(self.config)
            m.d.comb += [
                unit.i.valid.eq(self.i.valid),
                unit.i.payload.a.eq(self.i.payload.b),
                unit.i.payload.b.eq(self.i.payload.a),
                unit.o.ready.eq(self.o.ready),
                self.i.ready.eq(unit.i.ready),
                self.o.valid.eq(unit.o.valid),
                self.o.payload.eq(unit.o.payload),
            ]
            return m

    config = DivideConfig()
    message = failed(config, lambda of: (Divide if of == config else Swapped)(of))
    assert message == "a unit with its registers as wires is the core"


def test_dot_lanes(proved):
    proved(pipeline_proof(DotConfig(), Dot, "lns8"))


def test_dot_vectors(proved):
    proved(vectors_proof(VECTORS, Dot, "narrow", cycles=8))


def test_overflow_cleared_too_early(monkeypatch):
    class Forgetful(Dot):
        def elaborate(self, platform):
            def place(m, value, **options):
                # Every transfer begins a vector, for the flag alone.
                return PLACE(m, value, **options) | int(options["name"] == "first_6")

            with monkeypatch.context() as patch:
                if self.config == VECTORS:
                    patch.setattr(pipeline, "place_register", place)
                return super().elaborate(platform)

    verdict = check(vectors_proof(VECTORS, Forgetful, "planted", cycles=8))
    assert not verdict.proved and verdict.failed == "the unit's result is the core's"


def test_every_unit_is_there():
    for name in ("pipeline", "stream"):
        assert {proof.subject for proof in proofs() if proof.name == name} == set(UNITS)
    assert len({str(proof) for proof in proofs()}) == len(list(proofs()))


@pytest.mark.slow
@pytest.mark.parametrize("proof", list(proofs()), ids=str)
def test_all(proof, proved):
    proved(proof)
