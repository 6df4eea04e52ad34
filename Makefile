# `make demo` and `make test` are all that a new user needs; both set up .venv by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Where the evidence leaves its records, of which the verification page is made.
RECORDS ?= build/verify

.PHONY: help demo test test-full lint bench verify slow simulate error prove gates mutation soak fuzz coverage page typings clean \
	tools-present
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up, then train, replay, synthesise and report: build/demo/report.html"
	@echo "make test       set up, then run the tests"
	@echo "make test-full  the tests and the slow evidence"
	@echo "make lint       ruff and mypy"
	@echo "make bench      measure every figure of the README: build/bench"
	@echo "make verify     all evidence, some hours: slow tests, the parts below, docs/verification.md, whatever fails"
	@echo "  make simulate   every unit's Verilog against the golden model, and the trainer's"
	@echo "  make error      every unit's worst error against real numbers"
	@echo "  make prove      formal proofs, long ones too"
	@echo "  make gates      every unit's netlist for iCE40 and ECP5 against the golden model"
	@echo "  make mutation   faults in every unit's netlist, and how many of them the bench notices"
	@echo "  make soak       1e9 random transfers against the golden model; goes on where it was interrupted"
	@echo "  make fuzz       random options, formats, configurations, networks, manifests, files and frames"
	@echo "  make coverage   what the tests reach in the Python, and the stimulus in the Verilog"
	@echo "  make page       docs/verification.md of what is in $(RECORDS)"
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

# A part that fails does not keep the others from their turn, nor the page from being made.
verify: tools-present $(READY)
	@failed=; for part in slow simulate error prove gates mutation soak fuzz coverage page; do \
		$(MAKE) $$part || failed="$$failed $$part"; done; \
	test -z "$$failed" || { echo "verify: failed:$$failed"; exit 1; }

# The long searches are `fuzz`.
slow: tools-present $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile -m slow --ignore tests/fuzz

# Each unit of the registry in turn; one that fails does not keep the others from their turn.
EACH_UNIT = for unit in $$($(BIN)/python -c 'from lnsmadam.units import UNITS; print(*UNITS)'); do \
	echo "$(BIN)/lnsmadam $(1) $$unit"; $(BIN)/lnsmadam $(1) $$unit --records $(RECORDS) || failed=1; done

simulate: tools-present $(READY)
	@failed=0; $(call EACH_UNIT,simulate); for preset in FO FX FV; do \
		echo "$(BIN)/lnsmadam train --on rtl --preset $$preset --epochs 10"; \
		$(BIN)/lnsmadam train --on rtl --preset $$preset --epochs 10 --records $(RECORDS) || failed=1; done; exit $$failed

error: tools-present $(READY)
	$(BIN)/lnsmadam error all --records $(RECORDS)

prove: tools-present $(READY)
	$(BIN)/lnsmadam prove --long --records $(RECORDS)

mutation: tools-present $(READY)
	@failed=0; $(call EACH_UNIT,mutate); exit $$failed

gates: tools-present $(READY)
	$(BIN)/lnsmadam gates --records $(RECORDS)

soak: tools-present $(READY)
	$(BIN)/lnsmadam soak --records $(RECORDS)

# The long form of each search; the short one, which is its beginning, is among the tests.
fuzz: tools-present $(READY)
	LNSMADAM_RECORDS=$(RECORDS) $(BIN)/python -m pytest -n auto --dist worksteal -m slow tests/fuzz

# Numba's machine code is not measured: the tests of what it compiles run a second time, as Python.
coverage: tools-present $(READY)
	@rm -rf build/coverage && mkdir -p build/coverage
	@failed=0; $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" --cov --cov-report= || failed=1; \
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest tests/golden/trainer/test_kernel.py -k "plain_network or any_state" \
		--cov --cov-append --cov-report= || failed=1; \
	$(BIN)/coverage json -q -o build/coverage/report.json || failed=1; \
	$(BIN)/lnsmadam coverage python --records $(RECORDS) || failed=1; \
	$(BIN)/lnsmadam coverage --records $(RECORDS) || failed=1; exit $$failed

page: tools-present $(READY)
	$(BIN)/lnsmadam page --records $(RECORDS) --document docs/verification.md

# mypy does not follow setuptools' package-dir: these links show it the package as it is installed.
typings:
	@rm -rf .typings && mkdir -p .typings/lnsmadam
	@ln -s "$(CURDIR)"/src/lnsmadam/* .typings/lnsmadam/
	@ln -s "$(CURDIR)"/golden "$(CURDIR)"/hw "$(CURDIR)"/sim "$(CURDIR)"/fpga "$(CURDIR)"/proof .typings/lnsmadam/

clean:
	rm -rf build .typings
