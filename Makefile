# Needs make and Python 3.10 or newer, nothing else: each target first makes its virtual environment.
#   PYTHON=python3.12 make install    another interpreter
#   make test ARGS="-k schema -x"     arguments for what the target runs (test, demo, bench, lock)

.DEFAULT_GOAL := help
.PHONY: help install demo demo-ui test test-fast test-embedded-elt test-dbt test-destinations \
	test-lowest test-newest test-deploy kills model mutants lint dev settings \
	screenshots bench lock clean

# Dagster's state lies in the checkout unless the caller says otherwise. The environment's own
# Python has the same default (tools/install.sh), so `.venv/bin/dagster` finds the same state.
export DAGSTER_HOME ?= $(CURDIR)
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

PYTHON ?=
PORT ?= 3000
ARGS ?=
BIN := .venv/bin
CODE := $(wildcard analytics_assets analytics_assets_tests benchmarks)
INSTALL := PYTHON="$(PYTHON)" sh tools/install.sh
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.10 --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --extra fleet --extra kubernetes \
	--extra metrics --extra postgres --custom-compile-command "make lock" pyproject.toml

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

install: ## Make .venv from requirements.lock, or bring it up to date
	@$(INSTALL) .venv requirements.lock

demo: install ## See it work: the sample API into a DuckDB file, no account needed
	@$(BIN)/python -m analytics_assets.cli.demo $(ARGS)

demo-ui: install ## Browse the demo: the sample API, Dagster's web UI and its daemon (PORT=...)
	@$(BIN)/python -m analytics_assets.cli.demo_ui --port $(PORT)

test: install ## Run the tests; those in a browser skip themselves without Chromium
	@$(BIN)/python -m pytest -n auto $(ARGS)

test-fast: install ## Run the tests that need no PostgreSQL, browser or process of their own
	@$(BIN)/python -m pytest -n auto -m "not (process or postgres or browser)" $(ARGS)

# What does not depend on the release of Dagster is tested by `test` alone: the API, the loads, and
# one behaviour in many forms. Of some modules, one or two tests say what the records then say.
TESTS := analytics_assets_tests
ON_ANY_DAGSTER := api_version checks concurrency costs crashes daemon further_resource history isolation \
	load_as_read load_kills lost_rows model naming own_resources report_automation report_checks report_model \
	report_reads report_settings report_windows reports rotation secrets sharding skip_accounts skip_resources \
	suddenly_empty unchanged values
ON_EACH_DAGSTER := cli/test_forget.py::test_forget \
	$(patsubst %,cli/test_sync.py::test_%,failed_reads_what_failed_and_no_more json_of_accounts_that_failed) \
	$(patsubst %,orchestration/test_checks.py::test_%,all_pass_after_a_sync \
		a_sync_of_one_account_says_nothing_new_of_others) \
	$(patsubst %,orchestration/test_history.py::test_%,automation_asks_for_it_too \
		it_is_written_with_its_resource_whichever_is_selected) \
	orchestration/test_load_as_read.py::test_after_a_kill_only_what_was_not_loaded_is_read \
	orchestration/test_reports.py::test_what_a_report_is_in_dagster
test-embedded-elt: ## Run the tests on Dagster with dagster-embedded-elt and the release it pins
	@$(INSTALL) .venv-embedded-elt requirements-embedded-elt.lock
	@.venv-embedded-elt/bin/python -m pytest -n auto -m "not postgres" \
		$(filter-out $(patsubst %,$(TESTS)/orchestration/test_%.py,$(ON_ANY_DAGSTER)), \
			$(wildcard $(TESTS)/orchestration/test_*.py)) \
		$(addprefix $(TESTS)/,dagster_backend $(ON_EACH_DAGSTER)) $(ARGS)

test-dbt: ## Run what the page on embedding says of dbt, with dbt itself
	@$(INSTALL) .venv-dbt requirements-dbt.lock
	@.venv-dbt/bin/python -m pytest $(TESTS)/test_dbt.py $(ARGS)

test-destinations: ## Run the tests on DuckLake and SQLite, with the DuckDB that DuckLake needs
	@$(INSTALL) .venv-destinations requirements-destinations.lock
	@.venv-destinations/bin/python -m pytest -n auto $(TESTS)/destinations $(ARGS)

# The suite is for the locked versions; these ask whether the others that pyproject.toml admits do.
ON_ANY_VERSION := rows $(patsubst %,api/test_%.py,auth client transport) sample_api/test_server.py \
	$(patsubst %,dagster_backend/test_%.py,internals postgres_event_log sqlite_event_log) \
	$(patsubst %,warehouse/test_%.py,columns load replacement stored) \
	orchestration/test_materialize.py $(patsubst %,cli/test_%.py,errors help status) test_dependencies.py
test-lowest: ## Run some of the tests with the lowest versions that pyproject.toml names
	@$(INSTALL) .venv-lowest requirements-lowest.lock
	@.venv-lowest/bin/python -m pytest -n auto -m "not (process or browser)" \
		$(addprefix $(TESTS)/,$(ON_ANY_VERSION)) $(ARGS)

# Root on Debian; apt-get install buildah docker.io iptables mmdebstrap
test-deploy: install ## Build the image and run deploy/docker-compose.yaml, in an engine of its own
	@tools/engine/run.sh $(BIN)/python -m pytest -v $(TESTS)/deployed.py $(ARGS)

# What there is today, whatever the lock files say: by hand, since it may fail for no fault of ours.
test-newest: install ## Run the same tests with the newest versions that can be had
	@$(COMPILE) --group test --upgrade -o .venv-newest.lock
	@$(INSTALL) .venv-newest .venv-newest.lock
	@.venv-newest/bin/python -m pytest -n auto -m "not (process or browser)" \
		$(addprefix $(TESTS)/,$(ON_ANY_VERSION)) $(ARGS)

kills: install ## Kill syncs before each statement and at random, for docs/kills.md (ten minutes)
	@$(BIN)/python -m pytest --timeout 0 analytics_assets_tests/warehouse/kills.py $(ARGS)

FOLLOWED := orchestration/test_model.py orchestration/test_report_model.py warehouse/test_read_lists.py
model: install ## Follow the models of accounts, reports and lists for long (ten minutes)
	@LONG_MODELS=1 $(BIN)/python -m pytest --timeout 0 -n auto -k model $(addprefix $(TESTS)/,$(FOLLOWED)) $(ARGS)

mutants: ## Change the code in small ways; ARGS="analytics_assets.rows.keys*" for some
	@$(INSTALL) .venv-mutation requirements-mutation.lock
	@.venv-mutation/bin/mutmut run $(ARGS)

lint: install ## Check style, types and the walls between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

dev: install ## Start Dagster's web UI and daemon on 127.0.0.1:3000 (PORT=...)
	@$(BIN)/dg dev -w workspace.yaml --host 127.0.0.1 --port $(PORT)

settings: install ## Write docs/settings.md and .env.example from what the settings declare
	@$(BIN)/python tools/settings_docs.py

screenshots: install ## Make the pictures in docs/images anew (needs Chromium)
	@$(BIN)/python tools/screenshots.py

bench: install ## Measure
	@$(BIN)/python -m benchmarks $(ARGS)

# An environment that does not fit a changed pyproject.toml yet still has its uv.
lock: ## Write the lock files from pyproject.toml (ARGS=--upgrade: newest versions)
	@test -x $(BIN)/uv || $(INSTALL) .venv requirements.lock || test -x $(BIN)/uv
	$(COMPILE) $(ARGS) --group dev -o requirements.lock
	$(COMPILE) $(ARGS) --group dev --extra embedded-elt -o requirements-embedded-elt.lock
	$(COMPILE) $(ARGS) --group test --resolution lowest-direct -o requirements-lowest.lock
	$(COMPILE) $(ARGS) --group mutation -c requirements.lock -o requirements-mutation.lock
	$(COMPILE) $(ARGS) --group dbt -o requirements-dbt.lock
	$(COMPILE) $(ARGS) --group destinations -o requirements-destinations.lock
	$(COMPILE) $(ARGS) --group build -c requirements.lock -o deploy/requirements.lock

clean: ## Remove environments and caches; the warehouse and Dagster's state stay
	rm -rf .venv .venv-embedded-elt .venv-lowest .venv-newest .venv-newest.lock .venv-mutation .venv-dbt \
		.venv-destinations mutants .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
		.hypothesis test-results build dist
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
