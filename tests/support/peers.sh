#!/usr/bin/env bash
# The real servers of tests/fastapi.rs and tests/peers, from nothing: Prometheus and Alertmanager from Debian; FastAPI, MLflow,
# MLServer, the OpenTelemetry SDK, Phoenix, OtelTap and Rotel from PyPI, each into an environment of its own under .peers. Does only
# what is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# PACKAGE PROGRAM...: a package of Debian, if one of its programs is missing.
programs() {
    local package=$1 program missing=
    for program in "${@:2}"; do command -v "$program" >/dev/null || missing=$program; done
    [[ -n $missing ]] || return 0
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "peers.sh: no $missing (install $package, or run this as root on Debian)" >&2
        exit 1
    fi
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$package" >&2
}

programs prometheus prometheus promtool
programs prometheus-alertmanager prometheus-alertmanager

# NAME REQUIREMENTS: an environment that is made anew when its requirements change.
environment() {
    local venv=$root/.peers/$1 requirements=$2
    cmp -s "$requirements" "$venv/.ready" && return
    rm -rf "$venv"
    python3 -m venv "$venv"
    # --only-binary: a source package would compile for minutes
    "$venv/bin/pip" -q --disable-pip-version-check install --only-binary :all: -r "$requirements"
    cp "$requirements" "$venv/.ready"
}

peers=$root/tests/support/peers
environment fastapi "$root/examples/fastapi/requirements.txt"
# Side by side: the one waits for the network while the other unpacks.
waited=()
for name in mlflow phoenix; do
    environment $name "$peers/$name.txt" &
    waited+=($!)
done
for name in mlserver otel oteltap rotel; do environment $name "$peers/$name.txt"; done
for job in "${waited[@]}"; do wait "$job"; done
