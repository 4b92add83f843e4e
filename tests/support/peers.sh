#!/usr/bin/env bash
# The real servers of tests/fastapi.rs, from nothing: Prometheus from Debian, FastAPI and scikit-learn from PyPI into .peers.
# Does only what is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "peers.sh: no prometheus and promtool (install them, or run this as root on Debian)" >&2
        exit 1
    fi
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends prometheus >&2
fi

venv=$root/.peers/fastapi
if [[ ! -f $venv/.ready ]]; then
    python3 -m venv "$venv"
    # --only-binary: a source package would compile for minutes
    "$venv/bin/pip" -q --disable-pip-version-check install --only-binary :all: -r "$root/examples/fastapi/requirements.txt"
    touch "$venv/.ready"
fi
