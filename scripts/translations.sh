#!/bin/sh
# scripts/translations.sh: collect the plugin's strings into i18n/*.ts and compile them to the .qm that QGIS reads
# (make translations). Translate what it leaves "unfinished" in the .ts, with Qt Linguist or by hand, and run it again.
set -eu
cd "$(dirname "$0")/.."
missing=""
command -v pylupdate5 >/dev/null || missing="$missing pyqt5-dev-tools"
command -v lrelease >/dev/null || missing="$missing qttools5-dev-tools"
if [ -n "$missing" ]; then
    echo "Qt's translation tools are missing. On Debian or Ubuntu: apt-get install$missing" >&2
    exit 1
fi
plain=$(mktemp -d)
trap 'rm -rf "$plain"' EXIT
# pylupdate5 does not see a text with a comma behind it, so it gets each module as ast.unparse writes it. A text with
# a number goes as a plain one: Chinese has one form for all numbers, and pylupdate5 forgets plural forms when it is run again.
/usr/bin/python3 - "$plain" <<'END'
import ast, sys
from pathlib import Path


class Counted(ast.NodeTransformer):
    def visit_Call(self, call):
        self.generic_visit(call)
        if getattr(call.func, "id", "") == "translate_count":
            call.func.id = "translate"
            del call.args[2:]
        return call


for path in sorted(Path("fusar_qgis").rglob("*.py")):
    name = "_".join(path.parts)
    Path(sys.argv[1], name).write_text(ast.unparse(Counted().visit(ast.parse(path.read_text("utf-8")))), "utf-8")
END
# pylupdate5 asks Python for its locale in a way that Python 3.12 drops.
PYTHONWARNINGS=ignore pylupdate5 -noobsolete $(find "$plain" -name '*.py' | LC_ALL=C sort) -ts i18n/fusar_zh_CN.ts
sed -i '/<location /d' i18n/fusar_zh_CN.ts
lrelease -silent i18n/fusar_zh_CN.ts -qm i18n/fusar_zh_CN.qm
unfinished=$(grep -c 'type="unfinished"' i18n/fusar_zh_CN.ts || true)
[ "$unfinished" = 0 ] || echo "$unfinished strings are not translated yet: search i18n/fusar_zh_CN.ts for \"unfinished\"."
