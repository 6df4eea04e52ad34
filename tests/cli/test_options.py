"""Options of units: the help gives defaults and ranges, an error names the option that is to blame."""

import re

import pytest

from lnsmadam.cli.main import main
from lnsmadam.units import UNITS


def help_of(name, capsys):
    assert main(["generate", name, "--help"]) == 0
    return re.sub(r"\s+", " ", capsys.readouterr().out)


@pytest.mark.parametrize("name", UNITS)
def test_help_says_what_every_option_is_by_default(name, capsys):
    text = help_of(name, capsys)
    flags = ["--pipeline", *(f"--{option.name.replace('_', '-')}" for option in UNITS[name].options)]
    parts = re.split("|".join(f"(?={re.escape(flag)}[ /])" for flag in flags), text)
    assert len(parts) == 1 + len(flags)
    for part in parts[1:]:
        assert "[default: " in part or "by default" in part, part
    config = UNITS[name].configure({})
    assert f"latency in cycles: {config.min_pipeline} to {config.max_pipeline}" in text


@pytest.mark.parametrize("name, parts", [
    ("dot", ["[default: lns8]", "1 to 64. [default: 1]", "[default: 256]", "2 to 10 while", "[default: logic]"]),
    ("float_to_lns", ["[default: lns16]", "[default: bfloat16]"]),
    ("madam_update", ["[default: 12:4]", "1 to 20. [default: 10]", "[default: coarse- outliers]"]),
    ("adam_update", ["[default: 8:10]", "9 to 14. [default: 10]"]),
    ("sgd_update", ["[default: no-hard-multiplier]"]),
])  # fmt: skip
def test_defaults_are_those_of_the_configuration(name, parts, capsys):
    text = help_of(name, capsys)
    assert all(part in text for part in parts), text


@pytest.mark.parametrize("line, message", [
    ("dot --format 8:6", "'--format': Base factor must be a power of two, not 6"),
    ("dot --width 8 --base-factor 6", "'--base-factor': Base factor must be a power of two, not 6"),
    ("dot --lns-result 8:6", "'--lns-result': Base factor must be a power of two from 1 to 64 .*, not 6"),
    ("dot --format 8:5 --lns-result 8:6", "'--format': Base factor must be a power of two, not 5"),
    ("dot --lns-result 8:6 --format lns6", "'--lns-result': Base factor must be a power of two .*, not 6"),
    ("linear_to_log --format synapse", "'--format': Base factor must be a power of two .*, not 4.23235"),
    ("lns_to_float --format 8:6", "'--format': Base factor must be a power of two .*, not 6"),
    ("madam_update --grad-format 8:6", "'--grad-format': Base factor of the state must be .* 6, not 16"),
    ("multiply_add --format 8:6 --accumulator 8:7", "'--accumulator': Base factor of the accumulator .*, not 7"),
    ("dot --lanes 65", "'--lanes': Lanes must be from 1 to 64, not 65"),
    ("dot --pipeline 99 --lns-result lns8", "'--pipeline': Pipeline of dot must be from 2 to 17 stages, not 99"),
    ("dot --format lns16 --antilog table", "'--antilog' or '--format': Base factor of a table must be .*, not 2048"),
    ("multiply --width 40 --base-factor 3", "'--width' or '--base-factor': Width must be from 4 to 24, not 40"),
])  # fmt: skip
def test_an_error_names_the_option(line, message, tmp_path, capsys):
    assert main(["generate", *line.split(), "-o", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(f"lnsmadam: Invalid value for {message}\n", error), error
    assert not list(tmp_path.iterdir())
