# `make demo` and `make test` are all that a new user needs; both set up .venv by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test test-full lint bench typings clean tools-present
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up, then train, replay, synthesise and report: build/demo/report.html"
	@echo "make test       set up, then run the tests"
	@echo "make test-full  the tests and the slow evidence"
	@echo "make lint       ruff and mypy"
	@echo "make bench      measure every figure of the README: build/bench"
	@echo "make clean      remove build/ (set-up stays; remove $(VENV) to repeat it)"

# Checked before anything else runs, so that a missing compiler is one line and not the end of a long log.
tools-present:
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing: install Python 3.11 or newer (or set PYTHON)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python is too old: 3.11 or newer is needed (set PYTHON to one)"; exit 1; }
	@command -v g++ >/dev/null || { echo "g++ is missing: install a C++ compiler (Debian: apt install g++)"; exit 1; }
	@command -v perl >/dev/null || { echo "perl is missing: Verilator needs it (Debian: apt install perl)"; exit 1; }

# Exact versions stand in .ci/constraints.txt; the figures of the README were measured with them.
$(READY): pyproject.toml .ci/constraints.txt | tools-present
	@echo "Setting up $(VENV) (one to three minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@

demo: tools-present $(READY)
	$(BIN)/lnsmadam demo -o build/demo

test: tools-present $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-full: tools-present $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: tools-present $(READY) typings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=.typings $(BIN)/mypy -p lnsmadam

bench: tools-present $(READY)
	$(BIN)/python -m lnsmadam.bench build/bench

# mypy does not follow setuptools' package-dir: these links show it the package as it is installed.
typings:
	@rm -rf .typings && mkdir -p .typings/lnsmadam
	@ln -s "$(CURDIR)"/src/lnsmadam/* .typings/lnsmadam/
	@ln -s "$(CURDIR)"/golden "$(CURDIR)"/hw "$(CURDIR)"/sim "$(CURDIR)"/fpga "$(CURDIR)"/proof .typings/lnsmadam/

clean:
	rm -rf build .typings
