# `make figures` and `make test` do everything on a fresh machine; both build .venv when it is missing.
SHELL := bash
CORES ?= all
PYTHON ?= python3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)

.PHONY: figures test lint bench lock clean

# The lock is on standard input, which every job inherits: it is free only when no run and no job left by a killed run is
# alive. Then locks of Snakemake that are left are stale.
# Nets first: where training gives the same weights again, the second plan reruns nothing after it.
figures: .venv/installed
	@{ flock --nonblock 0 || { echo "another run is at work in this folder, waiting for it" >&2; flock 0; }; \
	rm -rf .snakemake/locks; $(SNAKEMAKE) --until train && $(SNAKEMAKE); } 0<>.running

test: .venv/installed
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: .venv/installed
	$(BIN)/python -m tests.bench

# A stamp that is written last: an interrupted installation is started anew.
.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	touch $@

# Pin what requirements.in asks for, with hashes, for every platform, and the same versions for conda. Needs uv.
lock:
	uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate requirements.in -o requirements.txt
	$(PYTHON) -c 'import re; pins = re.findall(r"^(\S+==.*?) *\\?$$", open("requirements.txt").read(), re.M); \
	  head = open("environment.yml").read().split("  - pip:\n")[0]; \
	  open("environment.yml", "w").write(head + "  - pip:\n" + "".join(f"      - {pin}\n" for pin in pins))'

clean:
	rm -rf results/*/ .snakemake .running
