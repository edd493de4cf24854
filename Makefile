# Denyut's front door. Bare `make` explains itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# The first Python here that is new enough; name another with PYTHON=...
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3 /usr/bin/python3,$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Tests wait for brokers as much as they compute: two at a time take half as long. A file's tests stay together, so that
# what they share is made once. One at a time: make test SIDE_BY_SIDE=
SIDE_BY_SIDE ?= --numprocesses=2 --dist=loadscope
# Hours of work: not below build/, which `make clean` removes.
OUT ?= made
export ORT_DISABLE_TELEMETRY := 1

help:  ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.demo: pyproject.toml deploy/constraints.txt
	@test -n "$(PYTHON)" || { echo "Denyut needs Python 3.11 or later; name one with PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint deploy/constraints.txt --editable .
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --constraint deploy/constraints.txt --editable '.[test]'
	touch $@

$(VENV)/.torch: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --constraint deploy/constraints.txt --editable '.[torch]'
	touch $@

setup: $(VENV)/.test  ## An environment with everything but torch, in .venv

demo: $(VENV)/.demo  ## The whole pipeline in your terminal: make demo ARGS="--headless --for 60"
	@$(BIN)/denyut demo $(ARGS)

# Prometheus and Alertmanager out of Debian's packages, below build/: no root, nothing installed, no service started.
TOOLS := build/tools
$(TOOLS)/bookworm/.fetched: deploy/tools/debian.sh
	deploy/tools/debian.sh bookworm $(TOOLS)/bookworm prometheus prometheus-alertmanager
	touch $@

$(TOOLS)/forky/.fetched: deploy/tools/debian.sh
	deploy/tools/debian.sh forky $(TOOLS)/forky promtool prometheus prometheus-alertmanager
	touch $@

# What Debian took out of Prometheus's own pages.
PAGES := fonts-glyphicons-halflings libjs-bootstrap4 libjs-eonasdan-bootstrap-datetimepicker libjs-jquery \
  libjs-jquery-hotkeys libjs-moment libjs-moment-timezone libjs-mustache libjs-popper.js libjs-rickshaw libjs-d3
$(TOOLS)/bookworm/.pages: deploy/tools/debian.sh
	deploy/tools/debian.sh bookworm $(TOOLS)/bookworm $(PAGES)
	touch $@

stack: $(VENV)/.demo $(TOOLS)/bookworm/.fetched $(TOOLS)/bookworm/.pages  ## The demo with a real Prometheus and Alertmanager beside it, on Debian
	@$(BIN)/python deploy/stack/stack.py $(ARGS)

image-test:  ## Build the image, and run the demo in it without network, root or a disk to write on
	deploy/image-test.sh

boards: $(VENV)/.test  ## The Grafana boards anew, from deploy/grafana/boards
	$(BIN)/python -m deploy.grafana.boards

chart: $(VENV)/.test  ## The chart's copies of rules and boards, its golden renders and its table of values
	deploy/chart/copy.sh
	$(BIN)/python -m tests.helm --write

test: check $(VENV)/.torch $(TOOLS)/bookworm/.fetched $(TOOLS)/forky/.fetched  ## Everything that CI runs: the static half, then all tests, a real Kafka's included
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

check: $(VENV)/.test  ## CI's static half: ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/mypy

fuzz: $(VENV)/.test  ## Everything that reads foreign bytes, under a coverage-guided fuzzer: make fuzz ARGS="--seconds 60"
	$(BIN)/python -m pip install --quiet --constraint deploy/constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz $(ARGS)

driver: $(VENV)/.test  ## A thousand seeded runs of both workers' pure loops against the slow recount
	$(BIN)/python -m tests.driver $(or $(ARGS),1000)

SEED ?= 1
FAULTS ?= 25
faults: $(VENV)/.test  ## A seeded storm of faults over a real Kafka, against the recount: make faults SEED=1 FAULTS=25
	@$(BIN)/python -m tests.faults.storm --seed $(SEED) --faults $(FAULTS) $(ARGS)

swings: $(VENV)/.test  ## False alarms, recall and delay of the detector on made-up publics, in under a minute
	$(BIN)/python -m tests.sim $(ARGS)

swings-full: $(VENV)/.test  ## The tables of tests/sim/README.md, beside other detectors; some twenty minutes
	$(BIN)/python -m tests.sim --full $(ARGS)

coverage: $(VENV)/.test  ## How often the mood's interval holds the truth
	$(BIN)/python -m tests.sim.coverage $(ARGS)

bench: $(VENV)/.test  ## The table of budgets, measured on this machine
	$(BIN)/python -m tests.bench $(ARGS)

model: $(VENV)/.torch  ## The embedded model anew, hours of two cores: make model DATA=folder [OUT=folder]
	@test -n "$(DATA)" || { echo "Name the data folder, see models/recipes/README.md: make model DATA=folder" >&2; exit 2; }
	$(BIN)/python -m models.recipes.make --data "$(DATA)" --out "$(OUT)" $(ARGS)

model-smoke: $(VENV)/.torch  ## The whole recipe on a tiny slice, in under two minutes
	$(BIN)/python -m pytest -q -s tests/test_make.py -k "leaves or embedded"

evaluate: $(VENV)/.demo  ## The model's quality on the data folder's dev rows: make evaluate DATA=folder
	@test -n "$(DATA)" || { echo "Name the data folder, see models/recipes/README.md: make evaluate DATA=folder" >&2; exit 2; }
	$(BIN)/python -m models.recipes.evaluate --data "$(DATA)" $(ARGS)

clean:  ## Forget what was made here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help setup demo stack image-test boards chart test check fuzz driver faults swings swings-full coverage bench model model-smoke evaluate clean
