"""What the wheel would leave out without a word: packages and data files that nobody listed."""

import fnmatch
import tomllib
from importlib import metadata, resources
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
#: Folders of the sources; everything else in the repository is no part of the package.
SOURCES = {"src/lnsmadam": "lnsmadam", "golden": "lnsmadam.golden", "hw": "lnsmadam.hw", "sim": "lnsmadam.sim",
           "fpga": "lnsmadam.fpga", "proof": "lnsmadam.proof"}  # fmt: skip


def source_files():
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def test_every_package_is_listed():
    found = set()
    for init in ROOT.glob("*/**/__init__.py"):
        relative = init.parent.relative_to(ROOT)
        if relative.parts[0] in ("src", *SOURCES):
            folder = next(folder for folder in SOURCES if relative.is_relative_to(folder))
            found.add(".".join([SOURCES[folder], *relative.relative_to(folder).parts]))
    assert set(SETUPTOOLS["packages"]) == found >= set(SOURCES.values())
    folders = {name: folder for folder, name in SOURCES.items()}
    for package in found - set(folders):
        parent, name = package.rsplit(".", 1)
        folders[package] = f"{folders[parent]}/{name}"
    assert SETUPTOOLS["package-dir"] == folders


def test_every_data_file_is_listed():
    patterns = SETUPTOOLS["package-data"]["*"]
    data = [path for path in source_files() if path.suffix != ".py"]
    assert {"lut_networks.json", "batch.cpp", "peers.json", "report.html.j2"} <= {path.name for path in data}
    for path in data:
        assert any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns), f"{path.name} is not in package-data"


def test_data_files_are_where_the_package_looks():
    for package, name in (("hw", "lut_networks.json"), ("sim", "batch.cpp"), ("fpga", "peers.json")):
        assert resources.files(f"lnsmadam.{package}").joinpath(name).is_file()


def test_console_script():
    (script,) = metadata.entry_points(group="console_scripts", name="lnsmadam")
    assert script.value == "lnsmadam.__main__:main"


def test_every_module_imports_absolutely():
    for path in source_files():
        if path.suffix == ".py":
            text = path.read_text(encoding="utf-8")
            assert "\nfrom ." not in text and "\nimport golden" not in text, path
            if path.is_relative_to(ROOT / "hw"):
                assert "from __future__ import annotations" not in text, f"{path.name}: breaks annotated ports"


def test_layers_import_downwards():
    allowed = {"golden": {"golden"}, "hw": {"golden", "hw"}, "sim": {"golden", "hw", "sim"},
               "fpga": {"golden", "hw", "fpga"}}  # fmt: skip
    checked = 0
    for folder, below in allowed.items():
        for path in (ROOT / folder).glob("*.py"):
            for line in path.read_text(encoding="utf-8").splitlines():
                words = line.split()
                if len(words) > 1 and words[0] in ("from", "import") and words[1].startswith("lnsmadam."):
                    # `from lnsmadam.hw import …` names a package alone.
                    assert words[1].split(".")[1] in below, f"{folder}/{path.name}: {line}"
                    checked += 1
    assert checked > 50
