#!/bin/sh
# require_packages.sh PACKAGE...: installs those of the system's packages that are missing; needs root only then.
set -eu
missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
command -v apt-get >/dev/null || { echo "Please install with your package tool:$missing" >&2; exit 1; }
if [ "$(id -u)" = 0 ]; then root=""; else root="sudo"; fi
if [ -n "$root" ] && ! command -v sudo >/dev/null; then
    echo "Packages are missing and installing them needs root. Run as root: apt-get install$missing" >&2
    exit 1
fi
echo "Installing from the system's packages${root:+ (sudo may ask for your password)}:$missing"
$root apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing >/dev/null
