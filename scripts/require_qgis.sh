#!/bin/sh
# Makes sure QGIS and what its tests need are installed.
exec sh "$(dirname "$0")/require_packages.sh" \
    qgis python3-qgis python3-venv xvfb xauth xdotool x11-apps imagemagick
