#!/bin/sh
# scripts/test_qgis_matrix.sh [pytest words | --record]: the plugin's tests on QGIS 3.22, 3.40 and 3.44, headless and in the
# desktop, each with the real backend on that Debian's own Python.
#
# Each QGIS lies in a Debian of its own, made once with debootstrap (about 10 minutes and 9 GB each, most of it torch) in
# FUSAR_MATRIX (default /var/tmp/fusar-qgis-matrix; delete that folder to be rid of it). FUSAR_SUITES chooses among
# bookworm (QGIS 3.22, Python 3.11), trixie (3.40, 3.13) and forky (3.44, 3.14). Needs root. The tests run without a
# network; mounts and processes end with this script. With --record it only runs scripts/record_qgis_names.py in each,
# and brings the records back.
set -eu
if [ "$(id -u)" != 0 ]; then
    echo "Skipped: a chroot needs root. Try: sudo sh scripts/test_qgis_matrix.sh"
    exit 0
fi
cd "$(dirname "$0")/.."
for tool in debootstrap unshare git; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install debootstrap util-linux git" >&2; exit 1; }
done
if [ -z "${FUSAR_MATRIX_INSIDE:-}" ]; then
    # Mounts of a namespace of its own end with its last process, and --kill-child leaves none.
    FUSAR_MATRIX_INSIDE=1 exec unshare --mount --pid --fork --kill-child --mount-proc sh scripts/test_qgis_matrix.sh "$@"
fi

trap 'exit 130' INT
trap 'exit 143' TERM
folder=${FUSAR_MATRIX:-/var/tmp/fusar-qgis-matrix}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 'Identifier: Packages' | head -n 1)
[ -n "$mirror" ] || { echo "apt names no Debian mirror. Try: apt-get update" >&2; exit 1; }

make_system() { # SUITE: a bare Debian, complete or not there at all
    [ -d "$folder/$1" ] && return
    rm -rf "$folder/$1.part"
    mkdir -p "$folder"
    # QGIS downloads Open Sans where it is missing, and complains where it cannot.
    # An older debootstrap does not know the newest suites by name; they all follow sid's script.
    debootstrap --variant=minbase --include=ca-certificates,fonts-open-sans,iproute2,make,procps,python3 \
        "$1" "$folder/$1.part" "$mirror" /usr/share/debootstrap/scripts/sid >"$folder/$1.log" 2>&1 ||
        { tail -n 20 "$folder/$1.log" >&2; return 1; }
    mv "$folder/$1.part" "$folder/$1"
}

lend_network() { # SYSTEM: how this machine finds and trusts its package servers
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || cp -L "$file" "$1$file"
    done
    # A mirror may lag behind.
    echo 'Acquire::Check-Valid-Until "false";' >"$1/etc/apt/apt.conf.d/90lagging"
}

copy_tree() { # SYSTEM: what is in the working tree now, committed or not
    mkdir -p "$1/work"
    find "$1/work" -mindepth 1 -maxdepth 1 ! -name '.venv*' -exec rm -rf {} +
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from - --ignore-failed-read --warning=no-failed-read | tar --extract --no-same-owner -C "$1/work"
}

inside() { # SYSTEM COMMAND...
    system=$1
    shift
    env -i HOME=/tmp LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 \
        PIP_CACHE_DIR=/var/cache/pip PIP_DEFAULT_TIMEOUT=180 FUSAR_EXECUTABLE=/work/.venv/bin/fusar chroot "$system" sh -euc 'cd /work; "$@"' sh "$@"
}

record() { # SYSTEM: what this QGIS has of the names that the plugin uses
    inside "$1" env QT_QPA_PLATFORM=offscreen python3 scripts/record_qgis_names.py
    cp "$1"/work/tests/core/qgis_names/*.json tests/core/qgis_names/
}

failed=""
for suite in ${FUSAR_SUITES:-bookworm trixie forky}; do
    system=$folder/$suite
    make_system "$suite"
    lend_network "$system"
    copy_tree "$system"
    mount -t proc proc "$system/proc"
    mount --rbind /dev "$system/dev"
    mount -t tmpfs tmpfs "$system/tmp"
    if [ "${1:-}" = --record ]; then
        inside "$system" sh scripts/require_qgis.sh
        record "$system"
        continue
    fi
    mkdir -p "$folder/pip" "$system/var/cache/pip"
    mount --bind "$folder/pip" "$system/var/cache/pip" # torch's libraries are the same for all
    inside "$system" make --silent .venv-qgis/installed .venv/installed
    inside "$system" .venv/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt \
        --editable '.[train]' # the records of “Prepare training chips” are read by fusar-train
    echo "== $suite: QGIS $(inside "$system" dpkg-query -W -f '${Version}' qgis), $(inside "$system" python3 --version)"
    inside "$system" unshare --net sh -euc 'ip link set lo up; exec timeout 3600 sh scripts/test_qgis.sh "$@"' sh "$@" ||
        failed="$failed $suite"
done
[ -z "$failed" ] || { echo "Failed on:$failed" >&2; exit 1; }
