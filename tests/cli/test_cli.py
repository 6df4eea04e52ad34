"""What every command shares: help, ``list``, one line for what cannot work, exit statuses."""

import dataclasses
import errno
import gc
import re
import sys

import click
import pytest

from lnsmadam.cli import main as command_line
from lnsmadam.cli.main import main
from lnsmadam.cli.options import FixedFormatType, LNSFormatType
from lnsmadam.hw.toolchain import ToolError
from lnsmadam.units import UNITS, unit_named

REFUSED = {
    "generate nothing": "Unit must be one of multiply, .*, not 'nothing'",
    "generate nothing else": "Unit must be one of .*, trainer, not 'nothing'",
    "error nothing": "Unit must be one of .*, all, not 'nothing'",
    "simulate nothing": "Unit must be one of multiply, .*, not 'nothing'",
    "synth nothing": "Unit must be one of multiply, .*, not 'nothing'",
    "frobnicate": "No such command 'frobnicate'",
    "generate trainer --sizes 64": "Network must have 1 to 4 layers, not 0",
    "generate trainer --sizes 64-x-10": "'--sizes': '64-x-10' is not a list of layer sizes such as 64-32-10",
    "generate trainer --lanes 65": "'--lanes': 65 is not in the range",
    "generate trainer --preset fz": "'--preset': 'fz' is not one of",
    "generate sqrt --frobnicate": "No such option '?--frobnicate",
    "generate sqrt surplus": "[Uu]nexpected extra argument",
    "generate sqrt --format lns9": "'--format': 'lns9' is none of lns6, .*, WIDTH:BASE_FACTOR, levels:COUNT:RATIO",
    "generate sqrt --format 3:8": "'--format': Width must be from 4 to 24, not 3",
    "generate sqrt --format 8:-8": "'--format': Base factor must be positive and finite, not -8",
    "generate sqrt --format levels:1:60": "'--format': Levels must be at least 2, not 1",
    "generate sqrt --format levels:26": "'levels:26' is none of",
    "generate sqrt --width 25 --base-factor 8": "Width must be from 4 to 24, not 25",
    "generate sqrt --width 8 --base-factor 0": "Base factor must be positive and finite, not 0",
    "generate sqrt --width 8 --base-factor nan": "Base factor must be positive and finite, not nan",
    "generate sqrt --width eight --base-factor 8": "'--width': 'eight' is not a valid int",
    "generate sqrt --width 8": "--width and --base-factor go together; --base-factor is missing",
    "generate sqrt --base-factor 8": "--width and --base-factor go together; --width is missing",
    "generate sqrt --format lns8 --width 8 --base-factor 8": "Format is given twice",
    "generate sqrt --pipeline 2": "Pipeline of sqrt must be from 0 to 1 stages, not 2",
    "generate multiply_add --memory tape": "'--memory': 'tape' is not one of 'logic', 'block'",
    "generate multiply_add --memory block --pipeline 0": "Pipeline of multiply_add must be from 1 to 6 stages, not 0",
    "generate multiply_add --approximator segments": "Approximator segments takes results of more than 10 bits",
    "generate multiply_add --accumulator 8:12": "Base factor of the accumulator must be an integer multiple",
    "generate multiply_add --format 4:1 --accumulator 10:1024": "Hardware takes tables for logs up to 4096 steps apart",
    "generate multiply_add --format lns16 --approximator table": "up to 4096 entries, not [0-9]+; choose segments",
    "build --board icebreaker --baud 300 -o out": "Baud rate must be at least 2000, not 300",
    "generate multiply_add --format 16:1000": "Hardware takes tables of up to 4096 entries, not [0-9]+; segments need",
    "generate madam_update --state-format 12": "'12' is not WIDTH:FRACTION_BITS",
    "simulate sqrt --count 0": "'--count': 0 is not in the range",
    "simulate sqrt --count 1000000001": "1000000001 is not in the range 1<=x<=1000000000",
    "energy sqrt --count 1000000001": "1000000001 is not in the range 1<=x<=1000000000",
    "coverage sqrt --count 1000000001": "1000000001 is not in the range 1<=x<=1000000000",
    "simulate sqrt --seed -1": "'--seed': -1 is not in the range",
    "synth sqrt --target xc7": "Target must be one of hx8k, up5k, ecp5-25k, ecp5-85k, not 'xc7'",
    "synth sqrt --target hx8k --target xc7": "Target must be one of .*, not 'xc7'",
    "synth sqrt --seeds a,b": "'--seeds': 'a,b' is not a list of integers such as 1,2,3",
    "synth sqrt --seeds ,": "'--seeds'",
    "build --board nowhere -o out": "Board must be one of icebreaker, .*, not 'nowhere'",
    "build --board ulx3s-25f --design units --lanes 3 -o out": "--lanes is an option of --design trainer",
    "build --board hx8k-evn --lanes 64 -o out": "Network does not fit on hx8k-evn .*: it needs .* blocks of RAM of 32",
    "build --board icebreaker --sizes 784-128-10 -o out": "Capacity must be from 2 to 166 samples of 784 inputs, not",
    "build --board ulx3s-45f -o out": "Board of a trainer must be one of icebreaker, .*, not 'ulx3s-45f'",
    "board-sim --baud 1": "Baud rate must be at least 2000, not 1",
    "build --board icebreaker --clock 500 -o out": "Clock of 500 MHz cannot be made of 12 MHz",
    "build -o out": "Missing option '--board'",
    "build --board icebreaker": "Missing option '-o' / '--output'",
    "build --board icebreaker -o out --baud 0": "'--baud': 0 is not in the range",
}
#: A few of them as processes; the others run in this one. The last two are refused by the hardware when it is being
#: put together: what Amaranth says of half of a circuit must not follow.
TYPED = [
    "generate nothing",
    "generate sqrt --format 3:8",
    "synth sqrt --target xc7",
    "build --board nowhere -o out",
    "generate multiply_add --format lns16 --approximator table",
    "build --board icebreaker --clock 500 -o out",
]


def assert_one_line(status, out, err, message):
    assert status == 2, (out, err)
    assert out == "" and err.count("\n") == 1 and err.endswith("\n"), err
    assert err.startswith("lnsmadam: ") and re.search(message, err), err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:.*created but never used")
@pytest.mark.parametrize("line", REFUSED)
def test_refused_in_one_line(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status = main(line.split())
    assert_one_line(status, *capsys.readouterr(), REFUSED[line])
    assert list(tmp_path.iterdir()) == []
    # Amaranth warns of a component that was refused half made: here, not in a later test.
    gc.collect()


@pytest.mark.parametrize(
    "line", ["generate sqrt -o", "simulate sqrt --waves", "synth sqrt --work", "demo -o", "generate trainer -o"]
)
def test_an_empty_text_is_no_folder(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert_one_line(main([*line.split(), ""]), *capsys.readouterr(), "an empty text names no folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", TYPED)
def test_refused_as_typed(line, typed, tmp_path):
    done = typed(line, tmp_path)
    assert_one_line(done.returncode, done.stdout, done.stderr, REFUSED[line])
    assert list(tmp_path.iterdir()) == []


def test_list_shows_every_unit(typed):
    done = typed("list")
    assert done.returncode == 0 and done.stderr == ""
    rows = [line.split("│")[1].strip() for line in done.stdout.splitlines() if line.startswith("│")]
    assert [name for name in rows if name] == [*UNITS, "trainer"]
    for unit in UNITS.values():
        for option in unit.options:
            assert f"--{option.name.replace('_', '-')}" in done.stdout, option.name


def test_python_m_is_the_same(typed):
    script, module = typed("list"), typed("list", command=(sys.executable, "-m", "lnsmadam"))
    assert module.returncode == 0 and module.stdout == script.stdout
    assert typed("generate nothing", command=(sys.executable, "-m", "lnsmadam")).returncode == 2


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "-h",
        "list --help",
        *(f"{name} --help" for name in ("generate", "simulate", "vectors", "synth", "energy")),
    ],
)
def test_help(line, capsys):
    assert main(line.split()) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage: lnsmadam") and err == ""


@pytest.mark.parametrize("command", ["generate", "simulate", "vectors", "synth", "energy"])
@pytest.mark.parametrize("name", UNITS)
def test_help_of_every_unit_names_its_options(command, name, capsys):
    assert main([command, name, "--help"]) == 0
    out = capsys.readouterr().out
    of_format = ("format", "width", "base-factor") if UNITS[name].main_format else ()
    for option in (*of_format, "pipeline", *(entry.name for entry in UNITS[name].options)):
        assert f"--{option.replace('_', '-')}" in out


@pytest.mark.parametrize("command", ["generate", "simulate", "vectors", "synth", "energy"])
def test_help_names_every_unit(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", out, re.M) for name in UNITS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert "0." in capsys.readouterr().out


@pytest.mark.parametrize("line", [[], ["generate"], ["synth"]])
def test_nothing_chosen_shows_help_and_fails(line, capsys):
    assert main(line) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Usage: lnsmadam")


@pytest.mark.parametrize("error, status, message", [
    (KeyboardInterrupt(), 130, "lnsmadam: interrupted\n"), (click.Abort(), 130, "lnsmadam: interrupted\n"),
    (ValueError("two\nlines"), 2, "lnsmadam: two\n"),
    (OSError(errno.ENOSPC, "No space left on device", "x.v"), 2, "lnsmadam: x.v: No space left on device\n"),
    (OSError("without a number"), 2, "lnsmadam: without a number\n"),
    (ToolError("perl is not installed"), 2, "lnsmadam: perl is not installed\n"),
])  # fmt: skip
def test_statuses_of_errors(error, status, message, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(command_line.cli, "main", fail)
    assert main(["list"]) == status
    assert capsys.readouterr().err == message


def test_a_bug_is_not_hidden(monkeypatch):
    def fail(*arguments, **options):
        raise ZeroDivisionError

    monkeypatch.setattr(command_line.cli, "main", fail)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_format_types():
    from lnsmadam.golden.format import LNS8, SYNAPSE, FixedFormat, LNSFormat

    kind = LNSFormatType()
    for text, fmt in (
        ("lns8", LNS8),
        ("LNS8", LNS8),
        ("7:3.7", LNSFormat(7, 3.7)),
        ("levels:26:60", SYNAPSE),
        ("synapse", SYNAPSE),
    ):
        assert kind.convert(text, None, None) == fmt
    assert kind.convert(LNS8, None, None) is LNS8
    for text in ("", "8", "8:", ":8", "8:8:8", "levels", "levels:a:b", "8.5:8", "lns", "nan"):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)
    assert FixedFormatType().convert("12:4", None, None) == FixedFormat(12, 4, signed=True)
    for text in ("12", "a:b", "0:0", "1:2:3", "99:1"):
        with pytest.raises(click.BadParameter):
            FixedFormatType().convert(text, None, None)


def test_registry():
    assert all(unit_named(name) is unit and unit.name == name for name, unit in UNITS.items())
    with pytest.raises(ValueError, match="Unit must be one of multiply, .* not 'Multiply'"):
        unit_named("Multiply")
    for name, unit in UNITS.items():
        config = unit.configure({"pipeline": None})
        assert config == unit.configure({}) and config.unit == unit.name
        fields = {field.name for field in dataclasses.fields(config)}
        assert {unit.main_format, *(option.name for option in unit.options)} - {None} <= fields
        # Every field can be reached from the command line, but for what madam_update derives from the others.
        reached = {unit.main_format, "pipeline", *(option.name for option in unit.options)}
        derived = {"lr_format", "mantissa_bits", "lfsr"} if name == "madam_update" else set()
        assert fields - derived <= reached, name


def test_float_formats():
    from lnsmadam.cli.options import FloatFormatType
    from lnsmadam.golden.floats import BFLOAT16, FLOAT32, FloatFormat

    kind = FloatFormatType()
    for text, fmt in (("bfloat16", BFLOAT16), ("Float32", FLOAT32), ("4:3", FloatFormat(4, 3)), (BFLOAT16, BFLOAT16)):
        assert kind.convert(text, None, None) == fmt
    for text in ("", "8", "8:", "float8", "a:b", "9:7", "8:0", "8:7:1"):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)
