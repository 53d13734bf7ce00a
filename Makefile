# make demo: the whole workflow on the embedded demo; make test: the tests.
# Both set up .venv from the lock files first and need Python 3.11 or newer, and a network.
# make bench: the benchmarks that take no files, in minutes.
# make lint: the linters and the types; make rulegraph: the picture of the rules in docs/design.md.
# make docs: the documentation as a site.

SHELL := bash
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
# Compiled on all cores, and not as pip does on one. Some packages have files that do not compile.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 .venv/lib || true

.PHONY: demo test bench lint docs rulegraph lock clean

demo: .venv/ready
	$(SNAKEMAKE) --quiet rules
	$(BIN)/tttnn summary --tables results/demo/tables --report results/demo/report.html

# Which tests stay in one process, and which start first: tests/conftest.py.
test: .venv/ready .venv/dev
	$(BIN)/python -m pytest --numprocesses $(CORES) --maxprocesses 8 --no-loadscope-reorder

# Medians and ratios with spread, each beside a plain way whose numbers must be the same.
bench: .venv/ready
	$(BIN)/python benchmarks/run.py

lint: .venv/ready .venv/dev
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow/Snakefile rules
	$(BIN)/snakemake --lint

# Sphinx reads the repository; docs/conf.py says which pages.
docs: .venv/ready .venv/dev
	$(BIN)/sphinx-build -b html -c docs --nitpicky --fail-on-warning --keep-going --quiet \
		. docs/_build/html
	@echo "docs/_build/html/index.html"

# Needs Graphviz (dot, tred). Arrows that follow from others are left out.
rulegraph: .venv/ready
	set -o pipefail; $(BIN)/snakemake --quiet all --rulegraph dot | tred | dot -Tsvg \
		-Granksep=0.22 -Gnodesep=0.12 -Nheight=0.32 -Npenwidth=1.2 -o docs/img/rulegraph.svg

lock: .venv/dev
	$(BIN)/pip install --quiet pip-tools
	cd envs && for env in cpu gpu dev; do \
		../$(BIN)/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links \
			--no-header --output-file $$env.lock $$env.in && \
		sed -i 's/+cpu$$//' $$env.lock || exit 1; \
	done  # +cpu: the lock names the release, the machine its build
	for env in cpu gpu; do \
		{ cat envs/conda.head; sed -n 's/^\([a-z0-9].*\)/      - \1/p' envs/$$env.lock; } > envs/$$env.yaml; \
	done

.venv/ready: envs/cpu.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --requirement envs/cpu.lock
	$(INSTALL) --no-deps --editable .
	$(COMPILE)
	touch $@

.venv/dev: .venv/ready envs/dev.lock
	$(INSTALL) --requirement envs/dev.lock
	$(COMPILE)
	touch $@

clean:
	rm -rf .venv .snakemake
