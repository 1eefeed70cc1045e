PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE := build/site-venv
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# One process more than there are cores: tests also wait, for disks and for processes that end.
SHARED_OUT = --dist=loadgroup --numprocesses=$(shell $(PYTHON) -c 'import os; print(min(8, os.cpu_count() + 1))')

# Tests start hundreds of processes; with no kept bytecode each of them compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install sample shown viz picture docs site test crash thorough lint notebooks benchmark clean

help:                  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed  ## set up .venv with every locked dependency

$(VENV)/.installed: requirements.lock pyproject.toml $(wildcard core/src/* core/include/*)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	awk '/^[^ ]/ {uv = /^uv==/} uv' requirements.lock > $(VENV)/uv.lock
	$(PIP) install --require-hashes -r $(VENV)/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| $(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

sample: install        ## make a synthetic drop and extract its features
	$(BIN)/kedro run --env=sample --pipelines=extract

viz: shown             ## draw the pipelines into build/, with previews of the sample
	KEDRO_ENV=sample PYTHONWARNINGS=ignore::UserWarning:kedro_viz.api.rest.responses.pipelines \
		$(BIN)/kedro viz build --include-previews
	$(BIN)/python scripts/finish_lineage.py

picture: sample        ## draw the pictures of the README from runs on the sample
	$(BIN)/python scripts/draw_sample.py
	$(BIN)/python scripts/draw_terminal.py

docs: install          ## write docs/parameters.md, the base YAML, docs/schemas and the picture of docs/architecture.md
	$(BIN)/python scripts/write_parameters.py
	$(BIN)/python scripts/write_schemas.py
	$(BIN)/python scripts/draw_house.py

site: $(SITE)/.installed notebooks  ## make the documentation site in build/site
	$(SITE)/bin/python scripts/build_site.py

$(SITE)/.installed: pyproject.toml
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["docs"], sep="\n")' > $(SITE)/docs.txt
	$(SITE)/bin/python -m pip --quiet --disable-pip-version-check install -r $(SITE)/docs.txt
	touch $@

test: install          ## run the tests
	$(BIN)/pytest $(SHARED_OUT) $(PYTEST_ARGS)

crash: install         ## kill, damage, fill and poison runs in every way: up to an hour
	$(BIN)/pytest -m crash --crash=full $(SHARED_OUT) $(PYTEST_ARGS)

thorough: install      ## run the cases that make test leaves out, apart from those of make crash
	$(BIN)/pytest -m 'thorough and not crash' --crash=full $(SHARED_OUT) $(PYTEST_ARGS)

lint: install          ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One run for all that notebooks, site and lineage show; after make sample no clip is scored again.
shown: install
	$(BIN)/kedro run --env=sample --pipelines=mos_head,fr_from_nr --params fr_from_nr.limit=2,fr_from_nr.preset=veryfast

notebooks: shown       ## run the notebooks on the sample
	$(BIN)/python scripts/run_notebooks.py

benchmark: install     ## print the figures that README and docs quote
	$(BIN)/python benchmarks/extract.py plans
	$(BIN)/python benchmarks/extract.py overhead
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/fr_from_nr.py cost
	$(BIN)/python benchmarks/fr_from_nr.py merge
	$(BIN)/python benchmarks/ingest.py table
	$(BIN)/python benchmarks/mos_head.py run
	$(BIN)/python benchmarks/ingest.py downloads
	$(BIN)/python benchmarks/report.py

clean:                 ## remove .venv, build/ and the data of the sample
	rm -rf $(VENV) data/sample build
