# Two commands for newcomers: `make demo` and `make test`. Each sets up everything it needs in .venv first.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 15))' 2>/dev/null && echo $$p && break; done)
# One process a core. Each computes with one thread, so that they do not fight over the cores.
WORKERS ?= 2

.PHONY: demo test lint docs install clean

# The product once through, by the commands a user gives: sounds, training and scores, one recording classified.
DEMO := results/demo
demo: $(VENV)/.installed
	$(BIN)/lung-srad synthesize $(DEMO)/data --patients 40
	$(BIN)/python recipes/ICBHI/train.py hparams/lung_srad_demo.yaml
	test=$$(grep test$$ $(DEMO)/data/ICBHI_challenge_train_test.txt | cut -f 1 | sort | tail -n 1) && \
	$(BIN)/lung-srad classify $(DEMO)/data/ICBHI_final_database/$$test.wav --annotations \
		--model $(DEMO)/run/export --plot $(DEMO)/plots
	@echo "Look at: $(DEMO)/run/report/report.html, $(DEMO)/run/training.png, $(DEMO)/plots"
	@echo "Drop recordings of your own on a page, for the model that comes with lung-srad: $(BIN)/lung-srad serve --open"

test: lint
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

# The documentation in site/; a broken link, an unknown name or any other warning ends it.
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

install: $(VENV)/.installed

$(VENV)/.docs: $(VENV)/.installed
	@if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --python $(BIN)/python --quiet -e ".[docs]"; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"; fi
	@touch $@

# uv installs in seconds where pip takes minutes; pip alone does where uv has no wheel.
$(VENV)/.installed: setup.py pyproject.toml lung_srad_plugin/version.py
	@test -n "$(PYTHON)" || { echo "Lung-SRAD needs Python 3.10 to 3.14; set one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV): torch is large, so the first time takes a while."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || echo "uv is not available here; installing with pip, which is slower."
	@if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -e ".[test]"; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"; fi
	@touch $@

clean:
	rm -rf $(VENV) results site
