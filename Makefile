# make bench [DATASET=...] [SPLIT=...] [TASK=...] [MODE=...] [SCALE=...] [DEGRADATION=...] [METHODS=...] [SEEDS=...]
#            [PRESET=...] [METRICS=...] [DATA_ROOT=...] [DEVICES=...] [JOBS=...]
# make test, make test-all, make lint, make plan, make report; the first call installs into .venv

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= runs
INSTALLED := $(VENV)/.installed


options = $(if $(DATASET),--dataset $(DATASET)) $(if $(SPLIT),--split $(SPLIT)) $(if $(SCALE),--scale $(SCALE)) \
  $(if $(TASK),--task $(TASK)) $(if $(MODE),--mode $(MODE)) \
  $(if $(DEGRADATION),--degradation $(DEGRADATION)) $(if $(METHODS),--methods $(METHODS)) \
  $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PRESET),--preset $(PRESET)) $(if $(METRICS),--metrics $(METRICS)) \
  $(if $(DATA_ROOT),--data-root $(DATA_ROOT)) --runs $(RUNS)

.PHONY: bench plan report test test-all lint format install perf clean

bench: install  ## run the benchmark; finished runs are kept
	@echo "vemrecon bench $(strip $(options))   ->  $(RUNS)/report/index.html"
	@$(BIN)/vemrecon bench $(options) $(if $(DEVICES),--devices $(DEVICES)) $(if $(JOBS),--jobs $(JOBS))

plan: install  ## show what bench would do
	@$(BIN)/vemrecon plan $(options)

report: install  ## rebuild the report from finished runs
	@$(BIN)/vemrecon report --runs $(RUNS)

test: install  ## the test suite without the minutes-long tests
	@echo "pytest without slow tests; golden and real-data tests need VEMRECON_SHARED"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow"

test-all: install  ## every test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest

lint: install  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

perf: install  ## speed of our own code as ratios against named baselines
	@$(BIN)/python benchmark/perf/score.py

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
