# SPDX-License-Identifier: Apache-2.0
# The one task file, for people and for CI. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
JOBS ?= 2
ORACLE_VERSION = 5.6.0
LABGRID_VERSION = 26.0.1
STAMP = $(VENV)/.installed

.PHONY: help setup demo test lint type unit oracle labgrid test-oldest stubs bench soak test-roms docs test-clients dist clean

help:
	@echo "make demo          write and read back firmware on a simulated ESP32-S3"
	@echo "make test          lint, type check and run all tests"
	@echo "make lint|type|unit  one of the three"
	@echo "make oracle        install the public tool $(ORACLE_VERSION) for comparison tests"
	@echo "make labgrid       install labgrid $(LABGRID_VERSION) in an environment of its own, for its tests"
	@echo "make test-oldest   a quick part of the tests, with the oldest dependencies that are allowed"
	@echo "make stubs         build the flasher stubs from firmware/ (needs cross compilers)"
	@echo "make bench         measure speed and start-up"
	@echo "make test-roms     run the chips' own ROMs against our model (needs ESP-IDF's ROM files)"
	@echo "make soak          a thousand writes over bad lines and on failing flash; lines that are killed"
	@echo "make docs          build the documentation into site/"
	@echo "make test-clients  run programs from PyPI that use this tool against it"
	@echo "make dist          build wheel and source archive"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Python's venv module is missing. On Debian: apt-get install python3-venv" >&2; \
	  rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/python tools/demo.py

# The demonstration needs the tool alone, none of the development packages.
$(VENV)/.demo: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Python's venv module is missing. On Debian: apt-get install python3-venv" >&2; \
	  rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

test: lint type unit

lint: setup
	$(BIN)/ruff check .

type: setup
	$(BIN)/mypy
	$(BIN)/mypy tests bench tools

unit: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(PYTEST_ARGS)

oracle: .venv-oracle/bin/esptool

.venv-oracle/bin/esptool:
	$(PYTHON) -m venv .venv-oracle
	.venv-oracle/bin/python -m pip install --quiet --disable-pip-version-check \
	  'esptool[hsm]==$(ORACLE_VERSION)'

# Apart, as it brings a copy of pyserial that takes the place of the true one.
labgrid: .venv-labgrid/bin/labgrid-client

.venv-labgrid/bin/labgrid-client:
	$(PYTHON) -m venv .venv-labgrid
	.venv-labgrid/bin/python -m pip install --quiet --disable-pip-version-check \
	  'labgrid==$(LABGRID_VERSION)'

stubs:
	$(MAKE) -C firmware

# Each prints its figures beside the public tool's, and the targets.
bench: setup oracle
	$(BIN)/python bench/startup.py
	$(BIN)/python -m bench.host
	$(BIN)/python bench/images.py --oracle .venv-oracle
	$(BIN)/python bench/secure.py
	$(BIN)/python bench/efuse.py
	$(BIN)/python -m bench.gdb
	$(BIN)/python -m bench.transfer --quick --model --public
	$(BIN)/python -m bench.monitor --mb 3
	$(BIN)/python -m bench.station --public 1

# A thousand writes over bad lines and on failing flash.
soak: setup
	$(BIN)/python -m bench.soak
	$(BIN)/python -m bench.line_soak faults
	$(BIN)/python -m bench.line_soak kills
	$(BIN)/python -m bench.line_soak kills --stations 4 --postgresql

docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  'mkdocs>=1.6,<2' 'mkdocs-material>=9.7,<10' 'mkdocstrings[python]>=1,<2'
	$(BIN)/python tools/gen_cli_docs.py
	$(BIN)/python tools/gen_output_schema.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What differs between versions of libraries: command lines, terminals, cryptography, ports, HSM.
OLDEST_TESTS = tests/test_files.py tests/protocol tests/cli/test_logger.py \
  tests/compat/test_command_lines.py tests/compat/test_programs.py tests/image/test_commands.py \
  tests/espefuse/test_api.py tests/espefuse/test_coding.py tests/espsecure/test_hsm.py \
  tests/espsecure/test_keys_and_digests.py tests/espsecure/test_signatures.py

test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest -q -p no:cacheprovider $(OLDEST_TESTS)

.venv-oldest/.installed: pyproject.toml tools/oldest.py
	rm -rf .venv-oldest
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
	  $$(.venv-oldest/bin/python tools/oldest.py) \
	  'pytest>=8' 'pytest-timeout>=2.3' 'hypothesis>=6.100' 'intelhex>=2.3' 'pyelftools>=0.30'
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

test-clients: dist
	sh tools/test_clients.sh

dist: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) .venv-oracle .venv-oldest .venv-clients .venv-labgrid build dist site .mypy_cache .ruff_cache .pytest_cache

# Not part of `test` and CI: the ROM files are the vendor's, and none is here.
test-roms: setup
	$(BIN)/python -m pytest -rs -n $(JOBS) --rootdir romtests romtests
