# `make` alone lists the targets.
#
# Everything is installed in .venv, which is created on first use and updated when the
# dependencies change. Another Python:  make test PYTHON=python3.13 VENV=.venv-3.13

VENV   ?= .venv
PYTHON ?=
ARGS   ?=

# Most tests wait for other processes, so more of them run at once than there are cores.
# The files keep their order, because the slowest come first.
PARALLEL ?= -n 4 --dist loadfile --no-loadscope-reorder

BIN  := $(VENV)/bin
DEPS := setup.cfg pyproject.toml .ci/venv

# Tests start hundreds of processes, which should not compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-matrix test-mariadb test-pgbouncer test-rabbitmq test-nginx test-clients \
  test-deploy constraints check bench clean

help:  ## Show this
	@echo "Bottlepost: group chat that answers at once and pushes behind the answer"
	@echo
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1|\2/p' Makefile \
	  | while IFS='|' read -r name text; do printf '%-19s %s\n' "$$name" "$$text"; done
	@echo
	@echo "  Ports and paths of make run: BOTTLEPOST_PORT, BOTTLEPOST_SANDBOX_PORT,"
	@echo "  BOTTLEPOST_RUN_DIR. Options for pytest or a benchmark: ARGS=\"...\"."

run: $(VENV)/.installed  ## Start the server, the sandbox and a demo conversation
	@$(BIN)/python -m demo

test: $(VENV)/.installed-dev  ## Run every test (minutes)
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-matrix: $(VENV)/.installed-dev  ## Run the tests of make test on the other hosts too
	@$(BIN)/python -m pytest -m matrix $(PARALLEL) $(ARGS)

# Needs MariaDB of the system (Debian: mariadb-server), or the URL of another server:
# make test-mariadb TEST_MARIADB=mysql+pymysql://root@127.0.0.1:3306/
test-mariadb: $(VENV)/.installed-dev  ## Run the tests of the database on MariaDB too
	@TEST_MARIADB="$${TEST_MARIADB:-start}" \
	  $(BIN)/python -m pytest tests/integration -m mariadb $(ARGS)

# Needs PgBouncer of the system (Debian: pgbouncer).
test-pgbouncer: $(VENV)/.installed-dev  ## Run the tests of the database behind PgBouncer too
	@TEST_PGBOUNCER=start $(BIN)/python -m pytest tests/integration -m pgbouncer $(ARGS)

# Needs RabbitMQ of the system (Debian: rabbitmq-server), or the URL of another server:
# make test-rabbitmq TEST_RABBITMQ=amqp://guest:guest@127.0.0.1:5672//
test-rabbitmq: $(VENV)/.installed-dev  ## Run the tests of Celery on RabbitMQ too
	@TEST_RABBITMQ="$${TEST_RABBITMQ:-start}" \
	  $(BIN)/python -m pytest tests/contracts -m rabbitmq $(ARGS)

# Needs nginx of the system (Debian: nginx-light).
test-nginx: $(VENV)/.installed-dev  ## Run the tests behind a proxy with nginx too
	@TEST_NGINX=start $(BIN)/python -m pytest tests/integration/host -m nginx $(ARGS)

# Needs npm of the system; the linter and the generators go to a temporary directory.
test-clients: $(VENV)/.installed-dev  ## Lint /openapi.json, and post with generated clients
	@TEST_NPM=1 $(BIN)/python -m pytest tests/acceptance -m clients $(ARGS)

check: $(VENV)/.installed-dev  ## Lint, format, types, import arrows, unit tests (seconds)
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --quiet --check . \
	  || { echo "Not formatted: run $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/python -m mypy --no-error-summary
	@$(BIN)/python -m pytest tests/unit $(PARALLEL) $(ARGS)

# Checks deploy/ and the Dockerfile with the tools that exist for them, as far as they are
# installed (Debian: nginx-light, prometheus, systemd), and replays the image's build.
test-deploy: $(VENV)/.installed-dev  ## Check systemd units, nginx, alerts and the image
	@TEST_DEPLOY=yes $(BIN)/python -m pytest tests/integration/deploy -m deploy $(ARGS)

# What the image installs, with hashes. uv writes the name of no index into the files.
LOCK := $(BIN)/uv pip compile --quiet --python-version 3.13 --python-platform linux \
	--generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make constraints"
constraints: $(VENV)/.installed  ## Pin the image's dependencies anew (deploy/)
	@$(BIN)/python -m pip install --quiet uv
	@$(LOCK) --upgrade setup.cfg --extra speed --extra postgresql --extra celery \
	  --extra container --output-file deploy/constraints.txt
	@echo 'setuptools>=77' | $(LOCK) --upgrade - --output-file deploy/constraints-build.txt

bench: $(VENV)/.installed-bench  ## Run the benchmarks; tables, results and plots
	@$(BIN)/python -m benchmarks $(ARGS)

clean:  ## Remove .venv, caches and build products (the data in var/ stays)
	@rm -rf $(VENV) build dist *.egg-info \
	  .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: $(DEPS)
	@.ci/venv $(VENV) "$(PYTHON)" .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@.ci/venv $(VENV) "$(PYTHON)" ".[speed,check,test]"
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@.ci/venv $(VENV) "" ".[plots]"
	@touch $@
