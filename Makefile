# make demo | test | qgis   (see README.md)
PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
TEST_ENV := PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=2

.PHONY: demo test lint test-backend test-qgis qgis plugin wheelhouse translations bench reproduce-mini clean

demo: .venv/installed
	.venv/bin/fusar demo --out build/demo

test: lint test-backend test-qgis

lint: .venv/dev-installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/vermin --quiet --no-tips --target=3.9- --violations --lint fusar_qgis fusar_qgis/contract
	.venv/bin/bandit --quiet --recursive fusar_qgis fusar_qgis/contract/
	find -L fusar_qgis metadata.txt -type f ! -path '*/__pycache__/*' -exec .venv/bin/detect-secrets-hook {} +

test-backend: .venv/dev-installed
	sh scripts/require_chromium.sh
	$(TEST_ENV) OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses 2 --dist loadfile

test-qgis: .venv/dev-installed .venv-qgis/installed
	$(TEST_ENV) FUSAR_EXECUTABLE=$(CURDIR)/.venv/bin/fusar sh scripts/test_qgis.sh

qgis: .venv/installed scripts/require_qgis.sh
	sh scripts/require_qgis.sh
	FUSAR_EXECUTABLE=$(CURDIR)/.venv/bin/fusar $(PYTHON) scripts/run_qgis.py

# The zip, and beside it the backend's wheel, which the plugin's options install. What an older build left is not packed.
plugin: .venv/installed
	$(PYTHON) scripts/package_plugin.py
	rm -rf build/lib build/bdist.* dist/fusar_gpt-*.whl
	.venv/bin/python -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir dist .

# All that a computer of the same kind without a network needs; torch is the CPU build where pip's index offers one.
wheelhouse: plugin
	rm -rf dist/wheelhouse
	.venv/bin/python -m pip --disable-pip-version-check wheel --quiet --constraint constraints.txt \
		--wheel-dir dist/wheelhouse torch dist/fusar_gpt-*.whl

translations:
	sh scripts/translations.sh

bench: .venv/dev-installed
	.venv/bin/python bench/run.py
	.venv/bin/python bench/model.py
	.venv/bin/python bench/tlm.py

reproduce-mini: .venv/dev-installed
	.venv/bin/fusar-train reproduce --out build/reproduce-mini

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python >= 3.10 is needed: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Install the venv module first: apt-get install python3-venv"; exit 1; }
	@echo "Making .venv and installing (a few minutes, once) ..."
	$(PYTHON) -m venv .venv
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

.venv/dev-installed: .venv/installed
	$(PIP) --editable '.[dev]'
	@touch $@

.venv-qgis/installed: scripts/require_qgis.sh constraints.txt
	sh scripts/require_qgis.sh
	/usr/bin/python3 -m venv --system-site-packages .venv-qgis
	.venv-qgis/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt \
		pytest pytest-timeout hypothesis pytest-qgis==5.0.2 pytest-qt==4.5.0
	@touch $@

clean:
	rm -rf build dist .venv .venv-qgis
