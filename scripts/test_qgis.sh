#!/bin/sh
# scripts/test_qgis.sh [pytest words]: the plugin's tests, headless and in the real QGIS desktop under Xvfb.
# Without words all of tests/qgis; with words, name the files or the folder too.
set -eu
cd "$(dirname "$0")/.."
[ "$#" -gt 0 ] || set -- tests/qgis
QT_QPA_PLATFORM=offscreen exec .venv-qgis/bin/python -m pytest "$@"
