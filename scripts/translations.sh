#!/bin/sh
# scripts/translations.sh: collect the plugin's strings into i18n/*.ts and compile them to the .qm that QGIS reads.
set -eu
cd "$(dirname "$0")/.."
# pylupdate5 asks Python for its locale in a way that Python 3.12 drops.
PYTHONWARNINGS=ignore pylupdate5 -noobsolete $(find fusar_qgis -name '*.py' | LC_ALL=C sort) -ts i18n/fusar_zh_CN.ts
lrelease -silent i18n/fusar_zh_CN.ts -qm i18n/fusar_zh_CN.qm
