# Every command of the project; `make` lists them. All but `help`, `clean` and `lock` build .venv when it is missing.
SHELL := bash
CORES ?= all
PYTHON ?= python3
BIN := .venv/bin
RUN := scenes
# Set for other programs: Python would find neither its own modules nor those of this folder, or translate them all anew
# each time. All else that a machine lacks or has too much is put right by workflow/runner/machine.py.
unexport PYTHONHOME PYTHONSAFEPATH PYTHONWARNINGS PYTHONINSPECT PYTHONOPTIMIZE PYTHONDONTWRITEBYTECODE
export PYTHONUTF8 := 1
# Text as one word of a shell line.
quoted = '$(subst ','\'',$(1))'
RUNNER = $(BIN)/python -m workflow.runner.run --cores $(CORES) $(if $(CONFIG),--configfile=$(call quoted,$(value CONFIG)))
.DEFAULT_GOAL := help

COMMANDS := help figures report atlas published test test-quick mutants lint bench peers faults clean lock
# Any other goal is the name of a figure, a table or a result, unless it is a file of the project.
OTHERS := $(filter-out $(COMMANDS) .venv/installed .peers/installed,$(MAKECMDGOALS))
RESULTS := $(filter results/%,$(OTHERS)) $(foreach goal,$(filter-out results/%,$(OTHERS)),$(if $(wildcard $(goal)),,$(goal)))

.PHONY: $(COMMANDS) $(RESULTS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile
	@echo "make NAME         one figure or table: fig3_assignment_conv1, tables/summary.csv; make nonsense lists the names"
	@echo "Options: CORES=2 (all by default), CONFIG=my_images.yaml (config.yaml by default)"

figures: .venv/installed ## everything, into results/scenes: 15 minutes on two cores, first 2 minutes and 6 GB for .venv
	@$(RUNNER) figures

atlas: .venv/installed ## every unit in the browser, results/scenes/atlas/index.html: part of figures
	@$(RUNNER) atlas

report: .venv/installed ## all figures on one page, results/scenes/report.zip: seconds after make figures
	@$(RUNNER) report

$(RESULTS): .venv/installed
	@$(RUNNER) $(call quoted,$@)

published: .venv/installed ## the paper's own mappings, from a clone of the authors' repository: FOLDER=convergent_learning
	@$(RUNNER) published --published $(call quoted,$(value FOLDER))

test: .venv/installed ## all tests: 20 minutes on two cores with SLURM; some of them: ARGS="-k matching"
	$(BIN)/python -m pytest $(ARGS)

test-quick: .venv/installed ## tests of a fifth of a second or less: a minute on two cores
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" $(ARGS) # each worker keeps to a core

mutants: .venv/installed ## which of 100 wrong lines the tests notice, into docs/reliability.md: 1 to 2 hours
	$(BIN)/python -m tests.mutants $(ARGS)

lint: .venv/installed ## style and types: 20 seconds
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: .venv/installed ## time and memory of the stages: 20 minutes
	$(BIN)/python -m tests.bench $(ARGS)

peers: .peers/installed ## speed, memory and errors beside other packages, which it installs into .peers: 10 minutes
	PYTHONPATH=.peers $(BIN)/python -m tests.bench peers

faults: .venv/installed ## kill, damage, mistype, fill the disk, and see what comes of it: 25 minutes; ARGS="kills", SEED=1
	$(BIN)/python -m tests.faults $(ARGS)

clean: ## remove results/scenes and say what is left; another run: RUN=my_images
	@$(PYTHON) -m workflow.runner.clean $(call quoted,$(value RUN))

# A stamp that is written last: an interrupted installation is started anew. The import translates those of the packages'
# 14,000 modules that are used, which takes a quarter of the time, shows that they work, and gives their
# warnings of translation here, not as errors of the tests.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "Installing into .venv: about 2 minutes, 6 GB, most of it PyTorch."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --no-compile --require-hashes -r requirements.txt
	@$(BIN)/python -W ignore -c "import matplotlib.pyplot, ot, sklearn.cluster, snakemake.cli, torchvision, zarr"
	@touch $@

# Beside .venv, which stays as it is: what these packages need is there.
.peers/installed: requirements-bench.txt .venv/installed
	@rm -rf .peers
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --target .peers -r requirements-bench.txt
	@touch $@

# Pin what requirements.in asks for, with hashes, for every platform, and the same versions for conda. Needs uv.
PIN := uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-header \
  --no-annotate
lock: ## pin newest versions of the requirements; needs uv
	$(PIN) requirements.in -o requirements.txt
	$(PIN) --no-deps requirements-bench.in -o requirements-bench.txt
	$(PYTHON) -c 'import re; pins = re.findall(r"^(\S+==.*?) *\\?$$", open("requirements.txt").read(), re.M); \
	  head = open("environment.yml").read().split("  - pip:\n")[0]; \
	  open("environment.yml", "w").write(head + "  - pip:\n" + "".join(f"      - {pin}\n" for pin in pins))'
