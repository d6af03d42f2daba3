# hotfolder: `make run` tries it, `make demo` proves it, `make test` tests it. All need Python 3.11+, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SANDBOX ?= ./sandbox
# Options of the demo: make demo DEMO='--small --all --keep'
DEMO ?=

.PHONY: run demo test torture lint types format docs bench bench-quick bench-outage bench-landing clean
.DEFAULT_GOAL := test

# Every process would compile all of hotfolder again: that takes as long as the rest of its start.
unexport PYTHONDONTWRITEBYTECODE

run: $(VENV)/installed
	@$(BIN)/hotfolder sandbox $(SANDBOX)

demo: $(VENV)/installed
	@$(BIN)/python -m tools.demo $(DEMO)

# Four at a time: most of the long ones wait for a process. Who is done takes over from the others.
test: $(VENV)/installed-dev
	@$(BIN)/pytest -n 4 --dist worksteal

# Half an hour of kill -9, power cuts and faults; needs strace. Bounds: see tests/torture/__main__.py
torture: $(VENV)/installed-dev
	@$(BIN)/python -m tests.torture

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/installed-dev
	@$(BIN)/python docs/generate.py

# A quarter of an hour: hotfolder beside s5cmd, rclone and the AWS CLI, which it installs into a cache of its
# own; 20 GB of disk meanwhile. make bench BENCH=--write writes docs/speed.* and the README's section anew.
BENCH ?=
bench: $(VENV)/installed-bench
	@$(BIN)/python -m tests.bench.speed $(BENCH)

# The same in two minutes, with so few and small files that its figures are none for the README
bench-quick: $(VENV)/installed-bench
	@$(BIN)/python -m tests.bench.speed --quick $(BENCH)

# Ten minutes: an outage with 100,000 files waiting, and what follows. Options: see tests/bench/outage.py
bench-outage: $(VENV)/installed-dev
	@$(BIN)/python -m tests.bench.outage

# A quarter of an hour, best with samba, smbclient, bindfs and rsync: every way into an inbox, slow writers,
# bursts, how soon; writes docs/landing.md. make bench-landing LANDING='ways --seed 1'
LANDING ?=
bench-landing: $(VENV)/installed-dev
	@$(BIN)/python -m tests.bench.landing $(LANDING)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hotfolder needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[sandbox]'
	@touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[sandbox,dev]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-bench: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@
