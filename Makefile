# make bench [DATASET=...] [SCALE="4 8"] [METHODS="linear bicubic"] [DRY_RUN=1] [ARGS="--any --option"] ...
#   takes every option of `vemrecon bench` as a variable of that name: see OPTIONS and SWITCHES below; so does make plan
# make test, make test-all, make lint, make plan, make report; the first call installs into .venv

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= runs
AT_ONCE ?= auto
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
# golden tests count what all of them have compared, so one process does them
TEST_ROOMS := --numprocesses $(AT_ONCE) --dist loadfile --ignore tests/golden
INSTALLED := $(VENV)/.installed

OPTIONS := CONFIG SUITE DATASET SPLIT TASK SCALE DEGRADATION MISSING_SECTIONS METHODS KERNELS SEEDS PRESET PRECISION TRACK \
  MODE LEARN_FROM WEIGHTS METRICS SEGMENTER SET DATA_ROOT VOXEL_SIZE INTENSITY_RANGE CHANNEL TIME AXES MISSING PICTURES RUNS DEVICES \
  JOBS DEVICES_PER_RUN TIMEOUT DASK MEMORY LOG RETRY
SWITCHES := FINE_TUNE SQUARE_PIXELS DRY_RUN REHEARSE PREPARE PRINT_CONFIG
flag = --$(shell echo $(1) | tr A-Z_ a-z-)
options = $(strip $(foreach name,$(OPTIONS),$(if $($(name)),$(call flag,$(name)) $($(name)))) \
  $(foreach name,$(SWITCHES),$(if $(filter-out 0 no false,$($(name))),$(call flag,$(name)))) $(ARGS))

.PHONY: bench plan report reproduce test test-all lint format install perf notebook clean

bench: install  ## run the benchmark; finished runs are kept
	$(info vemrecon bench $(options)   ->  $(RUNS)/report/index.html)
	@$(BIN)/vemrecon bench $(options)

plan: install  ## show what bench would do
	@$(BIN)/vemrecon plan $(options)

report: install  ## rebuild the report from finished runs
	@$(BIN)/vemrecon report --runs $(RUNS)$(if $(PICTURES), --pictures $(PICTURES))

reproduce: install  ## one row of the leaderboards from scratch: BOARD=... METHOD=... SEED=...
	@$(BIN)/vemrecon reproduce $(BOARD) --method "$(METHOD)" --seed $(or $(SEED),0) $(if $(DATA_ROOT),--data-root $(DATA_ROOT))

test: install  ## the test suite without the minutes-long tests, AT_ONCE=auto files at once
	@echo "pytest without slow tests; golden and real-data tests need VEMRECON_SHARED"
	@$(PYTEST) -m "not slow" $(TEST_ROOMS)
	@$(PYTEST) -m "not slow" tests/golden

test-all: install  ## every test
	@$(PYTEST) $(TEST_ROOMS)
	@$(PYTEST) tests/golden

lint: install  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

perf: install  ## speed of our own code as ratios against named baselines, in one table
	@$(BIN)/python benchmark/perf/table.py

notebook:  ## the tutorial as docs/tutorial.ipynb
	@$(PYTHON) docs/notebook.py docs/tutorial.py

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing vemrecon into $(VENV) (minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps lpips \
		|| echo "lpips cannot be installed; its tests will be skipped"
	@touch $@

clean:  ## remove caches and builds; runs and .venv stay
	rm -rf build dist .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
