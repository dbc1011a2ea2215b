# Two commands need nothing installed by hand but git, make and Python >= 3.11: `make demo`, `make test`.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PURE := records rules matching intake
KAFKAS := 4.0.2 4.1.2 4.2.2 4.3.1 4.4.0

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/run.stamp ## Run everything on simulated trades: prints the address of its pages, Ctrl-C stops it
	@echo "Starting the demo: the address of its pages comes next, within seconds."
	@$(BIN)/traderecon demo

.PHONY: quick
quick: .venv/dev.stamp ## The tests without worker, Kafka and browser: about three minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not nightly and not system"

.PHONY: test
test: system-packages check docs kafka ## Everything CI runs: check, docs, the tests of a change; the pure packages covered fully
	$(BIN)/python -m pytest -n 4 --dist worksteal -m "not nightly" \
		$(PURE:%=--cov=traderecon.%) --cov-branch --cov-fail-under=100

.PHONY: nightly
nightly: system-packages kafka ## What takes hours: plain Faust, seeded bugs, large samples, mutants, every Kafka
	$(BIN)/python -m pytest -n 2 --dist worksteal -m nightly
	$(MAKE) properties mutants kafka-matrix

.PHONY: check
check: .venv/dev.stamp ## Format, lint and types, changing nothing
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

.PHONY: format
format: .venv/dev.stamp ## Format, and fix what can be fixed safely
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: properties
properties: .venv/dev.stamp ## Draw a thousand random examples for every property; CI draws the same two hundred each time
	$(BIN)/python -m pytest -n 2 -m hypothesis --hypothesis-profile search

.PHONY: kafka
kafka: .venv/kafka.stamp ## Fetch the jars of Kafka for the tests into .venv/kafka; starts nothing
	@ls .venv/kafka 2>/dev/null | sed -nE 's|^kafka_[0-9.]+-([0-9.]+)\.jar$$|Kafka \1 is in .venv/kafka|p'

.PHONY: kafka-run
kafka-run: java .venv/kafka.stamp ## Run one Kafka broker on localhost:9092 until Ctrl-C, to try TradeRecon on
	@PYTHONPATH=tests $(BIN)/python -m broker.run

.PHONY: kafka-matrix
kafka-matrix: .venv/dev.stamp $(KAFKAS:%=.venv/kafka-%.stamp) ## Run the broker tests on each version of Kafka from 4.0 on
	PYTHONPATH=tests $(BIN)/python -m broker.matrix $(KAFKAS)

.PHONY: pythons
pythons: .venv/kafka.stamp ## Run the tests that need no browser on every other Python >= 3.11 that this machine has
	$(PYTHON) tests/pythons.py

.PHONY: picture
picture: .venv/dev.stamp ## Take the README's picture of the overview anew
	PYTHONPATH=tests $(BIN)/python -m web.picture docs/overview.png

.PHONY: bench
bench: .venv/bench.stamp ## Measure the core, and the batch against pandas, Polars and DuckDB
	PYTHONPATH=tests $(BIN)/python -m benchmarks.core
	PYTHONPATH=tests $(BIN)/python -m benchmarks.batch

.PHONY: bench-transport
bench-transport: .venv/dev.stamp kafka ## Measure the transport on a real Kafka, beside Faust as it comes
	PYTHONPATH=tests $(BIN)/python -m benchmarks.transport
	PYTHONPATH=tests $(BIN)/python -m benchmarks.roles

.PHONY: bench-pipeline
bench-pipeline: .venv/dev.stamp kafka ## Measure the whole pipeline on a real Kafka
	PYTHONPATH=tests $(BIN)/python -m benchmarks.pipeline

.PHONY: mutants
mutants: .venv/dev.stamp ## Break the rules on purpose: does a test notice?
	$(BIN)/mutmut run
	$(BIN)/mutmut results

# Constraints keep these files of one mind: what is shared has one version.
# `make pins UPGRADE=--upgrade` takes the newest of everything, without it only what is asked for.
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make pins' $(BIN)/uv pip compile --quiet \
	--universal --python-version 3.11 --generate-hashes --no-emit-index-url $(UPGRADE)

.PHONY: pins
pins: .venv/dev.stamp ## Pin what pyproject.toml asks for, with hashes, into requirements/
	$(COMPILE) pyproject.toml --group build --output-file requirements/run.txt
	$(COMPILE) pyproject.toml --group build --group dev \
		--constraint requirements/run.txt --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --group bench \
		--constraint requirements/dev.txt --output-file requirements/bench.txt
	$(COMPILE) pyproject.toml --group release \
		--constraint requirements/dev.txt --output-file requirements/release.txt
	echo pip==23.0.1 | $(COMPILE) - --output-file requirements/pip-oldest.txt # Debian 12 brings it
	echo pip | $(COMPILE) - --output-file requirements/pip-current.txt

.PHONY: docs
docs: .venv/release.stamp ## Build the docs as a site in build/docs; a broken link fails
	$(BIN)/python -m sphinx --builder html --fail-on-warning --quiet docs build/docs

.PHONY: sbom
sbom: .venv/release.stamp ## Write what an installation consists of as CycloneDX, build/sbom.json
	@PYTHONPATH=tests $(BIN)/python -m sbom build/sbom.json

.PHONY: dist
dist: .venv/dev.stamp ## Build the wheel and the sdist into dist/
	rm -rf dist
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist
	@ls dist/*

.PHONY: clean
clean: ## Remove .venv, and caches
	rm -rf .venv .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		build dist htmlcov mutants *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: java
java:
	@.ci/system-packages java

.PHONY: system-packages
system-packages:
	@.ci/system-packages chromium
	@.ci/system-packages java
	@.ci/system-packages prometheus
	@.ci/system-packages faketime

# The environment. A stamp is touched when its step is done; a step that broke off is done again.

.venv/python.stamp:
	@echo "Making a Python environment in .venv: done once, some seconds."
	@.ci/system-packages python $(PYTHON)
	$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/run.stamp: requirements/run.txt pyproject.toml setup.cfg .venv/python.stamp
	@echo "Installing $$(grep -c '==' requirements/run.txt) packages into .venv: done once, about a minute; each is named as it comes."
	@$(BIN)/python -m pip --disable-pip-version-check install --progress-bar off \
		--no-deps --require-hashes --requirement requirements/run.txt
	@echo "Installing TradeRecon itself: some seconds."
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/run.stamp
	@echo "Installing the tools for tests and checks into .venv: done once, about a minute."
	$(PIP) install --no-deps --require-hashes --requirement requirements/dev.txt
	@touch $@

.venv/bench.stamp: requirements/bench.txt .venv/dev.stamp
	@echo "Installing pandas and the other tools for benchmarks into .venv: done once, about a minute."
	$(PIP) install --no-deps --require-hashes --requirement requirements/bench.txt
	@touch $@

.venv/release.stamp: requirements/release.txt .venv/dev.stamp
	@echo "Installing the tools for docs and releases into .venv: done once, some seconds."
	$(PIP) install --no-deps --require-hashes --requirement requirements/release.txt
	@touch $@

# What Maven calls a runtime: the server and what it needs, no tests. Its output, which ends with colour codes even when
# quiet, is shown where it fails. Without Maven the loud skip of
# .ci/system-packages stands, no stamp is left, and a test that needs a Kafka fails by name.
define FETCH_KAFKA
	@.ci/system-packages maven
	@if command -v mvn >/dev/null; then \
		echo "Fetching the jars of Kafka into $(@:.stamp=): done once, about a minute." && \
		rm -rf $(@:.stamp=) && \
		{ output=$$(mvn --batch-mode --quiet --file tests/broker/pom.xml dependency:copy-dependencies \
			-DincludeScope=runtime -DoutputDirectory='$(CURDIR)/$(@:.stamp=)' $(1) 2>&1) || \
			{ printf '%s\n' "$$output" >&2; exit 1; }; } && \
		touch $@; \
	fi
endef

.venv/kafka.stamp: tests/broker/pom.xml tests/broker/class_archive.py .venv/run.stamp
	$(call FETCH_KAFKA)
	@if command -v java >/dev/null && [ -e $@ ]; then \
		PYTHONPATH=tests $(BIN)/python -m broker.class_archive || echo "Kafka starts slower: no archive of its classes"; \
	fi

.venv/kafka-%.stamp: tests/broker/pom.xml .venv/python.stamp
	$(call FETCH_KAFKA,-Dkafka.version=$*)
