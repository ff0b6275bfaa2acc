# Python 3.11 or newer and make are all that is needed; the first target makes .venv.
.PHONY: up chaos test test-clients test-frameworks check lint bench peers demo lock dev

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)
RUN = .venv/bin/python
AT_ONCE ?= 3
PYTEST = $(RUN) -m pytest -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder
# The supervisor ends with the make that started it, however that ends.
STARTED_BY_MAKE = WFLO_STOP_WITH_PARENT=1

up:  ## stores, web, worker and beat in this terminal; Ctrl-C stops them
	@$(PYTHON) requirements/install.py server
	@exec env $(STARTED_BY_MAKE) $(RUN) -m wflo_site.supervisor

dev:
	@$(PYTHON) requirements/install.py dev

test: dev  ## every test, on stores of its own
	@$(RUN) -m tests.chromium
	@$(PYTEST)

test-clients: dev  ## the makers' newest clients, of Python and Node, in .clients, against a running gateway
	@$(RUN) -m venv .clients/python
	@.clients/python/bin/python -m pip install -qq --disable-pip-version-check -r tests/clients/newest.txt
	@cp tests/clients/package.json .clients/
	@cd .clients && npm install --silent --no-package-lock --no-audit --no-fund
	@$(RUN) -m pytest tests/tracking/gateway/check_newest_clients.py

test-frameworks: dev  ## the library in agents' frameworks, each in .frameworks/<name>; FRAMEWORKS="langgraph crewai" for some
	@FRAMEWORKS="$(FRAMEWORKS)" $(RUN) -m tests.frameworks
	@FRAMEWORKS="$(FRAMEWORKS)" $(RUN) -m pytest tests/frameworks/check_frameworks.py

lint: dev
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports --no-cache --no-logo

check: lint  ## lint, types, layers, migrations, tests
	@$(RUN) -m tests.stack manage.py makemigrations --check --dry-run
	@$(RUN) -m tests.chromium
	@$(PYTEST)

chaos: dev  ## clients on little money, or JOBS=n agent jobs, while processes and stores are killed; SEED=n repeats one
	@$(RUN) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JOBS),--jobs $(JOBS))

bench: dev peers  ## the figures of docs/figures.md, measured here
	@$(RUN) -m bench

peers:  ## the frameworks that agents are measured beside, in .peers
	@test -x .peers/bin/python || $(RUN) -m venv .peers
	@.peers/bin/python -m pip install -qq --disable-pip-version-check -r bench/peers.txt

demo:  ## a sample team, sent through the front door of a running Wflo
	@$(PYTHON) requirements/install.py server
	@$(RUN) manage.py demo

lock: dev  ## anew from pyproject.toml, with hashes
	@$(RUN) -m uv pip compile --quiet --group server $(LOCKING) -o requirements/server.txt
	@$(RUN) -m uv pip compile --quiet --group server --group dev -c requirements/server.txt $(LOCKING) -o requirements/dev.txt
	@echo uv | $(RUN) -m uv pip compile --quiet - $(LOCKING) -o requirements/uv.txt
LOCKING = --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
