# The commands of opsroom. They need Debian's python3 (3.11 or later), python3-venv and make, nothing else;
# everything they install goes to .venv in this checkout. `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
AXE    := $(VENV)/axe/node_modules/axe-core/axe.min.js

# Where the demo goes, how big it is, and how many workers run the tests.
DEMO      ?= demo
COMPANIES ?=
PORT      ?= 8000
WORKERS   ?= 2
ARGS      ?=

# One thread for each worker: linear algebra that starts a thread per core makes two workers fight.
TEST_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

# Bytecode is kept where an image forbids it, too, or each process would compile all of opsroom anew.
export PYTHONDONTWRITEBYTECODE :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-browser setup-spark demo serve test test-long check check-code check-types format docs bench constraints clean distclean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

setup: $(STAMP) ## install opsroom and its tools into .venv

# The stamp is newer than both files when what they ask for is installed, so a second `make demo` installs
# nothing. pip 25.1 is the first that reads dependency groups. uv is used where present, never required.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("opsroom needs Python 3.11 or later; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo 'No virtual environment: apt-get install python3-venv' >&2; exit 1; }
	@$(PY) -c 'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (25, 1))' \
	  || $(PY) -m pip install --quiet --upgrade 'pip>=25.1'
	@pins=$$($(PY) -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")'); \
	  echo "Installing opsroom into $(VENV) $${pins:+with the pinned versions}" >&2; \
	  { command -v uv >/dev/null 2>&1 && uv pip install --quiet --python $(PY) $$pins -e . --group dev; } \
	  || $(PY) -m pip install --quiet --no-compile $$pins -e . --group dev
	@$(PY) -m compileall -qq -j 0 $(VENV)/lib src || true  # on all cores; some packages hold files that are no Python
	@echo 'Compiling the kernels, once' >&2
	@$(PY) -m tools.kernels || echo 'They could not be compiled now: the first run will do it, in more time and memory.' >&2
	@touch $@

# Browser tests drive Debian's Chromium; axe-core, which finds accessibility faults, comes through npm.
# Where either cannot be had, this says so and the tests that need it skip with the reason.
setup-browser: $(STAMP) ## fetch Chromium and axe-core for the browser tests, where that may be done
	@if command -v chromium >/dev/null 2>&1; then :; \
	 elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	   { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	   || echo 'Chromium could not be installed: browser tests will be skipped.' >&2; \
	 else echo 'Browser tests will be skipped: as root, apt-get install chromium' >&2; fi
	@if [ -f $(AXE) ]; then :; \
	 elif command -v npm >/dev/null 2>&1; then \
	   npm install --silent --no-save --no-audit --no-fund --prefix $(VENV)/axe axe-core@4 \
	   || echo 'axe-core could not be installed: accessibility tests will be skipped.' >&2; \
	 else echo 'Accessibility tests will be skipped: as root, apt-get install npm' >&2; fi

# Spark is 400 MB and needs Java: `make test` runs without it and says which tests it leaves out.
setup-spark: $(STAMP) ## install pyspark and Java for the engine "spark", where that may be done
	@$(PY) -c 'import grpc, pyspark' 2>/dev/null || { \
	  pins=$$($(PY) -c 'import sys; print("-c constraints.txt" if sys.version_info[:2] == (3, 11) else "")'); \
	  echo 'Installing pyspark' >&2; \
	  { command -v uv >/dev/null 2>&1 && uv pip install --quiet --python $(PY) $$pins -e '.[spark]'; } \
	  || $(PY) -m pip install --quiet --no-compile $$pins -e '.[spark]'; } \
	  || echo 'pyspark could not be installed: tests of the engine "spark" will be skipped.' >&2
	@if command -v java >/dev/null 2>&1 || [ -x "$$JAVA_HOME/bin/java" ]; then :; \
	 elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	   { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jre-headless >/dev/null; } \
	   || echo 'Java could not be installed: tests of the engine "spark" will be skipped.' >&2; \
	 else echo 'Tests of the engine "spark" will be skipped: as root, apt-get install default-jre-headless' >&2; fi

demo: $(STAMP) ## build the demo economy and its room, and say where to look
	$(VENV)/bin/opsroom demo $(DEMO)/ $(if $(COMPANIES),--companies $(COMPANIES)) $(ARGS)
	@printf '\n%s\n' 'Where to look:' \
	  '  the briefings      $(DEMO)/' \
	  '  the room, live     make serve, then http://127.0.0.1:$(PORT)/' \
	  '  your own data      docs/howto/own-data.md'

serve: $(STAMP) ## show the demo's operations room in the browser
	@test -e $(DEMO)/meridia/room.toml || $(MAKE) demo
	$(VENV)/bin/opsroom serve --room $(DEMO)/meridia --port $(PORT) $(ARGS)

test: $(STAMP) setup-browser ## run the tests (all but the long ones)
	$(TEST_ENV) OPSROOM_AXE="$$(realpath -q $(AXE) || true)" $(PY) -m pytest -n $(WORKERS) -m "not long" $(ARGS)

test-long: $(STAMP) setup-browser setup-spark ## run the long tests: kills, soak, fuzzing, attackers, Spark, many seeds
	$(TEST_ENV) OPSROOM_AXE="$$(realpath -q $(AXE) || true)" $(PY) -m pytest -n $(WORKERS) -m long --timeout 3600 $(ARGS)

check: check-code check-types ## lint, format, types, import order, generated pages, manual (make -j2 check: twice as fast)

check-code: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(PY) -m tools.pages --check
	$(PY) -m mkdocs build --strict --quiet

check-types: $(STAMP)
	$(VENV)/bin/mypy

format: $(STAMP) ## rewrite the code to the project's format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(STAMP) ## regenerate the reference pages and build the manual into site/
	$(PY) -m tools.pages
	$(PY) -m mkdocs build --strict --quiet
	@echo 'The manual: site/index.html'

bench: $(STAMP) ## run the benchmarks
	$(PY) -m bench $(ARGS)

constraints: $(STAMP) ## write the versions installed now into constraints.txt
	@{ sed '/^[^#]/d' constraints.txt; $(PY) -m pip freeze --exclude-editable | grep -v ' @ '; } > constraints.new
	@mv constraints.new constraints.txt && touch $(STAMP)

clean: ## remove what the commands made, except .venv
	rm -rf $(DEMO) site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find src tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv, too
	rm -rf $(VENV)
