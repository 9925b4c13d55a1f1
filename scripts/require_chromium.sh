#!/bin/sh
# Makes sure there is a Chromium, in which tests open the reports.
for browser in chromium chromium-browser google-chrome; do
    command -v "$browser" >/dev/null && exit 0
done
exec sh "$(dirname "$0")/require_packages.sh" chromium
