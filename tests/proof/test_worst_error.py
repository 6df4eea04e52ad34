"""The worst errors: found where they are, within the promises, and above them as soon as something is wrong."""

import importlib
import json
import math

import mpmath
import numpy as np
import pytest

from lnsmadam.cli import error as error_cli
from lnsmadam.cli.error import configured, measured
from lnsmadam.cli.main import main
from lnsmadam.evidence import CONFIGURATIONS, MEANINGS
from lnsmadam.golden import reference
from lnsmadam.golden.format import LNS16, LNSFormat
from lnsmadam.golden.log_sum import gauss_log_tables
from lnsmadam.golden.multiply_add import MultiplyAddConfig, multiply_add
from lnsmadam.proof.error import meaning, meaning_of_logs
from lnsmadam.proof.error.worst_error import Arguments, Case, Measure, number, search
from lnsmadam.units import UNITS

# As modules: the package's own names are those of the functions.
LOG_SUM, MULTIPLY_ADD = (importlib.import_module(f"lnsmadam.golden.{name}") for name in ("log_sum", "multiply_add"))
# One configuration of each unit that takes less than a second.
QUICK = {
    **dict.fromkeys(UNITS, ""),
    "multiply_add": "--format lns6",
    "dot": "--lns-result lns16",
    "linear_to_log": "--linear-format 16:4",
}


@pytest.fixture
def small_samples(monkeypatch):
    monkeypatch.setattr(meaning, "SAMPLE", 1 << 14)


def measures(name, options=None, golden=None):
    unit = UNITS[name]
    config = configured(unit, QUICK[name] if options is None else options)
    return MEANINGS[name](config, golden or unit.golden, unit.directed)


def test_every_unit_is_measured_in_configurations_that_exist():
    assert set(MEANINGS) == set(CONFIGURATIONS) == set(UNITS)
    for name, texts in CONFIGURATIONS.items():
        for text in texts:
            assert configured(UNITS[name], text).unit == name


@pytest.mark.parametrize("name", ["multiply", "divide", "square"])
def test_exact_units_have_no_error(name):
    (measure,) = measures(name)
    worst = search(measure)
    assert worst.error == 0 and worst.passed and not worst.operands
    assert measure.arguments.description.startswith("all ")


@pytest.mark.parametrize("name", UNITS)
def test_every_promise_is_kept_and_every_fault_is_seen(name, small_samples):
    """A bit far from the last one is wrong in every result of several bits: every measure of the unit must see it."""

    def wrong(config, *words):
        results = UNITS[name].golden(config, *words)
        if not isinstance(results, tuple):
            return results ^ type(results.flat[0])(16)
        changed = [
            column ^ column.dtype.type(16) if fmt.width > 1 else column
            for column, fmt in zip(results, config.outputs.values(), strict=True)
        ]
        return tuple(changed)

    good, bad = measures(name), measures(name, golden=wrong)
    assert good and len(good) == len(bad)
    for right, broken in zip(good, bad, strict=True):
        assert search(right).passed, str(search(right))
        if right.what != "mantissa":
            assert not search(broken).passed, broken.what


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("options", ["", "--accumulator 20:8 --result 12:8 --lanes 2", "--accumulator 14:8 --lanes 3"])
def test_an_overflow_is_what_the_real_sums_say(options, flag):
    """A flag that is always raised must not excuse its results, nor one that never is."""

    def wrong(config, a, b):
        result, overflow = UNITS["dot"].golden(config, a, b)
        return result, np.full_like(overflow, flag)

    for right, broken in zip(measures("dot", options), measures("dot", options, wrong), strict=True):
        found = search(right)
        assert found.passed and found.error > 0, str(found)
        # Nothing overflows the default accumulator, and the mantissas are of products that do not.
        assert search(broken).passed == (flag == 0 and (not options or right.what == "mantissa")), broken.what


def test_what_an_overflow_gives_is_an_end_of_the_range():
    def wrong(config, a, b):
        result, overflow = UNITS["dot"].golden(config, a, b)
        return np.where(overflow, result ^ result.dtype.type(1), result), overflow

    failed = [not search(measure).passed for measure in measures("dot", "--accumulator 16:8", wrong)]
    assert failed == [False, True, True]


@pytest.mark.parametrize("word", [0x7FC0, 0x7F80, 0xFF80])
def test_a_weight_that_is_no_number_is_no_step(word, small_samples):
    def wrong(config, *words):
        weight, *rest = UNITS["adam_update"].golden(config, *words)
        return np.full_like(weight, word), *rest

    step, *_ = measures("adam_update", "", wrong)
    assert math.isinf(search(step).error)


def test_a_weight_without_a_step_stays(small_samples):
    def wrong(config, *words):
        weight, m, *rest = UNITS["adam_update"].golden(config, *words)
        return weight ^ (config.m_format.decode(m) == 0).astype(weight.dtype), m, *rest

    step, *_ = measures("adam_update", "", wrong)
    assert math.isinf(search(step).error)


def test_multiply_add_lns8_against_its_own_brute_force():
    """The largest distance of any log2(1 ± 2^(-z/8)) from an integer, and the golden function on 4000 triples."""
    with mpmath.workdps(40):
        worst = 0
        for z in range(190):
            for sign in (1, -1):
                if z or sign > 0:
                    exact = 8 * mpmath.log(1 + sign * mpmath.power(2, mpmath.mpf(-z) / 8), 2)
                    worst = max(worst, abs(exact - mpmath.nint(exact)))
        found = search(measures("multiply_add", "")[0])
        assert abs(found.error - float(worst)) < 1e-12
        assert found.measure.arguments.total == 1 << 24

        def real(word):
            log = (word & 127) - 128 * (word >> 6 & 1)
            return 0 if log == -64 else (-1) ** (word >> 7) * mpmath.power(2, mpmath.mpf(log) / 8)

        rng = np.random.default_rng(1)
        words = rng.integers(0, 256, (3, 4000)).astype(np.uint8)
        (measure,) = measures("multiply_add", "")
        errors = measure.errors(dict(zip("abc", words, strict=True)))
        got = multiply_add(MultiplyAddConfig(), *words)
        regular = 0
        for a, b, c, result, error in zip(*words.tolist(), got.tolist(), errors, strict=True):
            exact = real(c) + real(a) * real(b)
            log = 8 * mpmath.log(abs(exact), 2) if exact else -mpmath.inf
            if -63 <= log <= 63:
                regular += 1
                assert (result >> 7) == (exact < 0)
                assert abs(abs((result & 127) - 128 * (result >> 6 & 1) - log) - error) < 1e-9
        assert regular > 2000


@pytest.mark.parametrize("fmt", [LNSFormat(8, 8), LNSFormat(10, 100), LNSFormat(9, 2), LNSFormat(8, 40)])
def test_distances_are_all_that_a_result_within_the_range_can_have(fmt):
    """Every pair of logs of a product and a summand, against those that are looked at for wide formats."""

    def within(x, y, differs):
        with np.errstate(divide="ignore"):
            small = np.exp2(-np.abs(x - y) / fmt.base_factor) * np.where(differs, -1, 1)
            log = np.maximum(x, y) + fmt.base_factor * np.log2(1 + small)
        chosen = (fmt.log_min <= log) & (log <= fmt.log_max)
        return set(zip(np.abs(x - y)[chosen].tolist(), differs[chosen].tolist(), strict=True))

    config = MultiplyAddConfig(operand=fmt)
    _, columns = meaning_of_logs._distances(config, 1)
    low, high = config.x_range
    grid = np.meshgrid(np.arange(low, high + 1), np.arange(fmt.log_min, fmt.log_max + 1), [0, 1], indexing="ij")
    found = within(*columns)
    assert found == within(*(column.ravel() for column in grid)) and len(found) > 100


@pytest.fixture
def no_tables_kept():
    """Nothing that was made from a table is from before the test, or outlives it."""
    caches = gauss_log_tables, LOG_SUM._max_error, MULTIPLY_ADD._memo
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


# The tables are forgotten last: asked for before ``monkeypatch``, they are when the fault is gone.
@pytest.fixture
def wrong_table(no_tables_kept, monkeypatch):
    """One entry of LNS8's table is one too large."""

    def broken(base_factor, z_max):
        add, subtract = (table.copy() for table in gauss_log_tables(base_factor, z_max))
        add[5] += 1
        return add, subtract

    monkeypatch.setattr(LOG_SUM, "gauss_log_tables", broken)


@pytest.fixture
def wrong_function(no_tables_kept, monkeypatch):
    """The function that all tables of sums are made from is two steps too large at one distance."""
    right = reference.gauss_log_reals

    def wrong(z, base_factor, subtract):
        return right(z, base_factor, subtract) + 2 * (np.asarray(z) == 3)

    monkeypatch.setattr(reference, "gauss_log_reals", wrong)
    monkeypatch.setattr(LOG_SUM, "gauss_log_reals", wrong)


@pytest.mark.parametrize("name", ["add", "multiply_add"])
def test_real_numbers_are_not_the_golden_models(name, wrong_function):
    (worst,) = (search(measure) for measure in measures(name, "--format lns6"))
    assert 1.5 < worst.error < 2.6 and not worst.passed


@pytest.mark.parametrize("name", ["add", "multiply_add"])
def test_a_wrong_entry_of_a_table_is_above_the_promise(name, wrong_table, tmp_path, capsys):
    """The guarantee's own figure comes from the wrong table; what nearest means does not."""
    config = UNITS[name].configure({})
    assert config.guarantee()["max_error_ulp"] > 1
    assert main(["error", name, "--records", str(tmp_path)]) == 1
    assert "ABOVE" in capsys.readouterr().out
    (record,) = json.loads((tmp_path / f"error-{name}.json").read_text())["records"]
    assert not record["passed"] and 0.5 < record["details"]["error"] < 2
    words = record["details"]["operands"]
    left, right = (log + 64 & 127 for log in (words["a"], words["b"]))
    if name == "add":
        assert abs(left - right) == 5
    assert "above 0.5;" in record["result"]


def test_the_summary_has_one_figure_a_configuration(small_samples):
    unit = UNITS["adam_update"]
    records = measured(unit, unit.configure({}), "")
    assert len(records) == 3 and all(record.passed and record.details["operands"] for record in records)
    (short,) = {record.details["short"] for record in records}
    assert short.startswith("step 0.00") and short.endswith(" relative")


def test_a_wrong_sign_is_infinitely_wrong(monkeypatch):
    unit = UNITS["multiply"]

    def wrong(config, a, b):
        return unit.golden(config, a, b) ^ (np.asarray(a) == 3).astype(np.uint8) << 7

    worst = search(measures("multiply", golden=wrong)[0])
    assert math.isinf(worst.error) and not worst.passed and worst.operands["a"] == 3
    broken = measures("multiply", golden=wrong)
    monkeypatch.setitem(MEANINGS, "multiply", lambda *_: broken)
    (record,) = measured(unit, unit.configure({}), "")
    assert not record.passed and json.loads(json.dumps(record.details))["error"] == "infinite"


@pytest.mark.parametrize("name, operands", [
    # An exact cancellation, 1 / 0, the root of -1, infinity, NaN.
    ("add", {"a": 8, "b": 8, "subtract": 1}),
    ("divide", {"a": 0, "b": 64}),
    ("sqrt", {"a": 128}),
    ("float_to_lns", {"a": 0xFF80}),
    ("float_to_lns", {"a": 0x7FC1}),
])  # fmt: skip
def test_results_by_rule_are_part_of_the_meaning(name, operands):
    unit = UNITS[name]

    def wrong(config, *words):
        results = unit.golden(config, *words)
        result = results[0] if isinstance(results, tuple) else results
        return np.where(
            np.all([np.asarray(word) == at for word, at in zip(words, operands.values(), strict=True)], axis=0),
            5,
            result,
        )

    worst = search(measures(name, "", golden=wrong)[0])
    assert worst.error == math.inf and not worst.passed and worst.operands == operands


def test_the_winner_is_measured_again_with_fifty_digits():
    """Whatever float64 said, the figure that counts is the exact one."""
    words = {"a": np.array([[7]])}
    measure = Measure(
        "log",
        "ulp",
        0.5,
        UNITS["sqrt"].configure({}).inputs,
        Arguments("one", [words], 1),
        lambda columns: np.full(len(columns["a"]), 0.5),
        lambda operands: Case(mpmath.mpf(1), mpmath.mpf("0.4")),
    )
    worst = search(measure)
    assert worst.error == pytest.approx(0.6, abs=1e-15) and not worst.passed


def test_nothing_to_measure_with_is_an_error():
    measure = Measure("log", "ulp", 0.5, {}, Arguments("none", [], 0), lambda _: np.zeros(0), lambda _: Case(0, 0))
    with pytest.raises(ValueError, match="There is no argument to measure the error of the log with"):
        search(measure)


def test_numbers_are_written_as_they_are():
    formats = UNITS["madam_update"].configure({}).inputs
    assert number(formats["weight"], 0x8000 | 5) == "-2^(5/2048)"
    assert number(formats["weight"], LNS16.zero) == "+0"
    assert number(formats["grad_rms"], 0xFF8) == "-0.5"
    assert number(UNITS["float_to_lns"].configure({}).float_format, 0x3FC0) == "1.5 (0x3fc0)"


def test_all_units_leave_a_file_a_command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(error_cli, "UNITS", {name: UNITS[name] for name in ("sqrt", "square")})
    assert main(["error", "all", "--records", str(tmp_path)]) == 0
    names = [f"error-{unit}{options}.json" for unit in ("sqrt", "square") for options in ("", "-format-lns16")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    records = [record for name in names[:2] for record in json.loads((tmp_path / name).read_text())["records"]]
    assert [record["command"] for record in records] == ["lnsmadam error sqrt", "lnsmadam error sqrt --format lns16"]
    assert all(record["kind"] == "worst error" and record["details"]["error"] == 0.5 for record in records)
    assert {record["details"]["short"] for record in records} == {"0.5 ulp"}
    assert "promised 0.5" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("line, reason", [
    ("error nothing", "Unit must be one of multiply, "),
    ("error sqrt --format 3:3", "Invalid value for '--format': Width must be from 4 to 24, not 3"),
    ("error log_to_linear --linear-format 60:8", "Width of the result must be at most 44 for its error to be measured"),
])  # fmt: skip
def test_what_cannot_work_is_one_line(line, reason, capsys):
    assert main(line.split()) == 2
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1
