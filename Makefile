# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every command does its own set-up: it needs git, make and a Python 3.11 to 3.13 with venv, and nothing installed before.
# All that is made lands in .venv, .nox and .lab.

# nox as a module, not .venv/bin/nox: that script would carry the absolute path of a checkout that may have been moved.
NOX := .venv/bin/python -m nox
# The lab runs as a child of make itself, by exec: Ctrl-C and TERM reach it at once, and nobody kills it while it tidies up
# (nox would, after half a second).
PYTHON = exec env \
	PATH="$(CURDIR)/.nox/lab/bin:$$PATH" \
	PYTHONPATH="$(CURDIR)/tests:$(CURDIR)/.nox/lab/collections" \
	ANSIBLE_COLLECTIONS_PATH="$(CURDIR)/.nox/lab/collections" \
	LAB_COLLECTIONS="$(CURDIR)/.nox/collections/2.21" \
	.nox/lab/bin/python
LAB = $(PYTHON) -m lab --dir .lab

.DEFAULT_GOAL := help
.PHONY: help demo demo-ikev2 lab lab-down lab-ikev2 test test-all pester mutants bench plots clean

help: ## list these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf 'make %-11s %s\n' "$$name" "$$text"; done

demo: .nox/lab/.ready ## the five playbooks on the lab, with before and after; starts and stops the lab
	@$(LAB) demo

lab: .nox/lab/.ready ## start the lab and leave it up; says which inventory to use
	@$(LAB) up

lab-down: .nox/lab/.ready ## stop the lab
	@$(LAB) down

lab-ikev2: .nox/lab/.ready ## as root: the lab with real IKEv2 clients and servers, until Ctrl-C; says which inventory to use
	@$(LAB) ikev2

demo-ikev2: .nox/lab/.ready ## as root: the demo with real IKEv2 clients and servers
	@$(LAB) demo-ikev2

test: .venv/.ready ## lint, sanity, units, and whole runs on the oldest and newest ansible-core; T=<path>: that test only
	@$(NOX) $(if $(T),--tags newest -- $(T))

pester: .venv/.ready ## the PowerShell scripts' own tests, with Pester, and the lines of the scripts that they reach; part of test
	@$(NOX) --session pester

test-all: .venv/.ready ## what `make test` leaves out: the other versions of ansible-core, and every combination
	@$(NOX) --tags all

mutants: .venv/.ready ## plant 40 mistakes in the PowerShell scripts and 40 in the pure code, and report which the tests do not notice; M="--only powershell --seed 2"
	@$(NOX) --session mutants -- $(M)

bench: .nox/lab/.ready ## measure requests, time and memory, in about 6 minutes; B=--long: all curves, B="--only devices": a part
	@$(PYTHON) -m benchmark --json .nox/bench.json $(B)

plots: .venv/.ready ## plot what `make bench` has measured: docs/performance.svg
	@$(NOX) --session plots

clean: ## stop the lab and remove everything that these commands made
	@if [ -e .lab ] && [ -e .nox/lab/.ready ]; then $(MAKE) --no-print-directory lab-down || true; fi
	rm -rf .venv .nox .lab .lab.log .ansible .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

.venv/.ready: tests/requirements/nox.txt
	@python="$$(tests/tools/find-python 3.13 3.12 3.11)" && echo "Making .venv with $$python" && \
		rm -rf .venv && "$$python" -m venv .venv && .venv/bin/python -m pip install --quiet -r tests/requirements/nox.txt
	@touch $@

.nox/lab/.ready: .venv/.ready noxfile.py tests/requirements/lab.txt tests/tools/pypi_collections.py
	@$(NOX) --session lab
	@touch $@
