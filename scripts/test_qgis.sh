#!/bin/sh
# scripts/test_qgis.sh [pytest words]: the plugin's tests, headless and in the real QGIS desktop under Xvfb.
set -eu
cd "$(dirname "$0")/.."
QT_QPA_PLATFORM=offscreen exec .venv-qgis/bin/python -m pytest tests/qgis "$@"
