# Every verb installs what it needs into .venv first. PYTHON=... names another Python 3.11 or later.

VENV := .venv
BIN := $(VENV)/bin
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help install demo page test test-web lint types docs bench bench-rd bench-net fuzz clean

help:
	@echo 'make install    everything that exgs needs, into $(VENV)'
	@echo 'make demo       encode, serve and stream the sample scene over a slow link; look in demo/'
	@echo 'make page       the page that `exgs serve` shows, after a change in client/web'
	@echo 'make test       all tests but those of the browser; WORKERS=4 for so many processes'
	@echo 'make test-web   types and tests of client/web, and of the page in Chromium'
	@echo 'make lint       style and format, by ruff'
	@echo 'make types      types, by mypy'
	@echo 'make docs       the API reference from the docstrings, in build/docs'
	@echo 'make bench      times of the rasterizers; SCENES="a.ply b.ply" for others than the sample'
	@echo 'make bench-rd   quality against bytes, beside other formats (needs node, and takes long)'
	@echo 'make bench-net  what the network withstands, half an hour; as root on Linux, with nginx and wrk;'
	@echo '                SCENE=scene.exgs names an encoded scene of 7 MB or more'
	@echo 'make fuzz       ten minutes on each of four targets; MINUTES=1 for less'
	@echo 'make clean      remove $(VENV), demo/ and what tools have cached'

install: $(VENV)/.dev

demo: $(VENV)/.demo
	$(BIN)/exgs demo -w

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n $(WORKERS)

page: $(VENV)/.demo
	$(BIN)/python client/web/build_page.py --fetch-node

WEB := $(BIN)/python client/web/build_page.py npm
test-web: $(VENV)/.dev page
	$(BIN)/python client/web/make_constants.py --check
	$(WEB) run types
	$(WEB) test
	$(WEB) run e2e

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/python docs/reference.py build/docs
	@echo 'open build/docs/index.html'

SCENES ?= demo/sample.ply
demo/sample.ply:
	$(MAKE) demo

bench: $(VENV)/.dev $(SCENES)
	$(BIN)/python -m bench.rasterize $(SCENES)

bench-rd: $(VENV)/.bench
	$(BIN)/python -m bench.rd

bench-net: $(VENV)/.dev
	@test -f '$(SCENE)' || { echo 'name an encoded scene of 7 MB or more: make bench-net SCENE=scene.exgs'; exit 1; }
	@test "$$(id -u)" = 0 || { echo 'an emulated link needs root: sudo make bench-net SCENE=$(SCENE)'; exit 1; }
	@command -v nginx wrk >/dev/null || { echo 'ranges are measured with nginx and wrk: install both'; exit 1; }
	$(BIN)/python -m bench.net.view_change $(SCENE) --delay-ms 50
	$(BIN)/python -m bench.net.view_change $(SCENE) --delay-ms 100
	$(BIN)/python -m bench.net.ranges $(SCENE)
	$(BIN)/python -m bench.net.crowd slow $(SCENE) --minutes 10
	$(BIN)/python -m bench.net.crowd idle $(SCENE)
	$(BIN)/python -m bench.net.crowd stop $(SCENE)
	$(BIN)/python -m bench.net.kill $(SCENE)
	$(BIN)/python -m bench.net.kill $(SCENE) --static
	$(BIN)/python -m bench.net.kill $(SCENE) --client
	$(BIN)/python -m bench.net.faults $(SCENE)
	$(BIN)/python -m bench.net.hostile

MINUTES ?= 10
fuzz: $(VENV)/.fuzz
	for target in header index chunk control; do \
		$(BIN)/python -m bench.net.fuzz $$target --minutes $(MINUTES) || exit 1; done

clean:
	rm -rf $(VENV) demo build dist server/exgs/server/page client/web/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find codec server client tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is installed is what these files said. The demo needs neither torch nor the tools,
# which are most of the download, so it does not wait for them.
$(VENV)/bin/python:
	@test -n '$(PYTHON)' || { echo 'exgs needs Python 3.11 or later; name one with PYTHON=...'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[server,client]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'installing exgs with its tools into $(VENV): torch is most of the 2 GB, more where it brings CUDA'
	$(PIP_INSTALL) -e '.[dev]'
	@touch $(VENV)/.demo $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[dev,bench]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[dev,docs]'
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[dev,fuzz]'
	@touch $@
