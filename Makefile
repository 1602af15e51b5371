# A menu: every target is a line or two of Python, which the README names for systems without make.
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadscope --no-loadscope-reorder
SELECT = $(if $(CASE),--case "$(CASE)") $(if $(NAME),--name "$(NAME)")

.PHONY: help setup demo test test-all test-gpu data check train evaluate figures bench report numbers skeleton play notebooks compare pack export trackers clean

help:             ## this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo '  CASE=msrnet NAME=mine ARGS="train.steps=100 ..." narrow train, evaluate, figures, bench and report'

setup: .venv/ready  ## .venv with everything that requirements.txt pins
.venv/ready: requirements.txt pyproject.toml
	@python3 common/install.py

demo: setup       ## every case on embedded sample data: train, test, figures
	@$(PYTHON) -m common.menu demo $(SELECT)

test: setup       ## the project's own tests
	@$(PYTEST) $(ARGS)

test-all: setup   ## ... and those that take long: large pictures, whole test sets, interruptions at many moments
	@$(PYTEST) -m "not cuda" $(ARGS)

test-gpu: setup   ## what needs a GPU: every case trained, stopped, tested and drawn on it
	@$(PYTHON) -m pytest -m cuda $(ARGS)

data: setup       ## the embedded sample data, in datasets/sample
	@$(PYTHON) -m common.data samples

check: setup      ## are the real data sets complete and readable?
	@$(PYTHON) -m common.data check $(NAME) $(ARGS)

train: setup      ## train.py of one case or all
	@$(PYTHON) -m common.menu train $(SELECT) $(ARGS)

evaluate: setup   ## test.py of one case or all
	@$(PYTHON) -m common.menu test $(SELECT) $(ARGS)

figures: setup    ## figures.py of one case or all (FOR=readme: the pictures that the pages show)
	@$(PYTHON) -m common.menu figures $(SELECT) $(if $(FOR),--for "$(FOR)") $(ARGS)

bench: setup      ## speed and memory against a straightforward version (PEERS=1: other people's programs too)
	@$(PYTHON) -m common.menu bench $(SELECT) $(if $(PEERS),--peers) $(ARGS)

report: setup     ## results/report.html and report.md: our numbers beside the published ones, figures, times
	@$(PYTHON) -m common.report $(SELECT) $(ARGS)

numbers: setup    ## do the tables of the pages say what the runs at hand measured?
	@$(PYTHON) -m common.numbers $(SELECT) $(ARGS)

skeleton: setup   ## the outline of a student's report on a run of CASE, in Chinese (ARGS="--lang en")
	@$(PYTHON) -m common.report --skeleton "$(CASE)" $(if $(NAME),--name "$(NAME)") $(ARGS)

play: setup       ## a web page on this machine for your own pictures (installs the extra `play`)
	@python3 common/install.py --extra play
	@$(PYTHON) -m common.play $(if $(CASE),--case "$(CASE)") $(ARGS)

notebooks: setup  ## the walk-through of every case, executed, as a notebook (installs the extra `notebook`)
	@python3 common/install.py --extra notebook
	@$(PYTHON) -m common.notebooks $(if $(CASE),--case "$(CASE)")

pack: setup       ## a run of CASE as results/<case>-<run>.zip, checked, to hand in
	@$(PYTHON) -m common.pack "$(CASE)" $(if $(NAME),--name "$(NAME)") $(ARGS)

compare: setup    ## is B as good as A? A, B: result folders or zips (ARGS="--each FOLDER --html FILE --csv FILE")
	@$(PYTHON) -m common.compare "$(A)" $(if $(B),"$(B)") $(ARGS)

export: setup     ## the networks of CASE as ONNX files (ARGS="-o FOLDER"; installs the extra `export`)
	@python3 common/install.py --extra export
	@$(PYTHON) -m cases.$(CASE).extras.export $(ARGS)

trackers:         ## opencv-contrib-python instead of opencv-python: MOSSE, KCF, CSRT (setup swaps back)
	@python3 common/install.py --trackers

clean:            ## remove caches and the demo's results; your runs stay
	@$(PYTHON) -m common.menu clean
