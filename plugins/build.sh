#!/usr/bin/env bash
# Compiles plugins to WebAssembly. Which toolchain does so is decided here and nowhere else.
#
#   plugins/build.sh                        this folder's plugins, as components in plugins/dist
#   plugins/build.sh FOLDER [CARGO-ARG...]  one plugin's core module; cargo's JSON messages on stdout say where it is
#
# The target is wasm32-unknown-unknown: a module made for it imports nothing but what the plugin interface offers. rustup
# has its standard library ready (`rustup target add`); without it, Debian's rustc compiles one from its own sources.
# Outputs go to CARGO_TARGET_DIR, else to `target` beside the Cargo.toml. What is up to date is not built again.
set -euo pipefail

target=wasm32-unknown-unknown
debian_packages=(rustc-web cargo-web rust-web-src)

has_rustup_target() {
    local sysroot
    sysroot=$(rustc --print sysroot 2>/dev/null) && [[ -d $sysroot/lib/rustlib/$target/lib ]]
}

has_debian_sources() {
    [[ -x /usr/bin/cargo && -f /usr/lib/rustlib/src/rust/library/Cargo.lock ]]
}

# rust-lld comes with rustup, wasm-ld with Debian's lld.
linker() {
    local lld
    lld=$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$(uname -m)-unknown-linux-gnu/bin/rust-lld
    [[ -x $lld ]] && echo "$lld" && return
    compgen -c wasm-ld | sort -rV | head -n 1 | grep .
}

install_debian_sources() {
    [[ $(id -u) == 0 && -f /etc/debian_version ]] && command -v apt-get >/dev/null || return 1
    local packages=("${debian_packages[@]}")
    linker >/dev/null || packages+=(lld-19)
    echo "build.sh: no $target in the Rust toolchain: installing Debian's ${packages[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -qy --no-install-recommends "${packages[@]}"; } >&2
}

# cargo_wasm ARG...: `cargo build` for the target. Flags meant for this machine's processor are not for Wasm's.
cargo_wasm() {
    local args=(build --release --target "$target" "$@")
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
    if has_rustup_target; then
        cargo "${args[@]}"
    elif has_debian_sources || install_debian_sources; then
        local lld
        lld=$(linker) || { echo "build.sh: no linker for $target (apt-get install lld-19)" >&2 && return 1; }
        # The bootstrap switch lets a stable compiler build its own standard library, and nothing else is used of it.
        env -u RUSTC_WRAPPER -u RUSTC_WORKSPACE_WRAPPER RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
            CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$lld" \
            /usr/bin/cargo "${args[@]}" -Zbuild-std=std,panic_abort
    else
        echo "build.sh: no Rust standard library for $target (rustup target add $target)" >&2
        return 1
    fi
}

if (($# > 0)); then
    cd "$1"
    cargo_wasm --message-format=json-render-diagnostics "${@:2}"
    exit
fi

cd "$(dirname "${BASH_SOURCE[0]}")"
mapfile -t guests < <(grep -l cdylib ./*/Cargo.toml | xargs -n 1 dirname | xargs -n 1 basename)
cargo_wasm --locked "${guests[@]/#/--package=}"
cargo build --quiet --locked --package weir-componentize
mkdir -p dist
for guest in "${guests[@]}"; do
    built=${CARGO_TARGET_DIR:-target}
    "$built/debug/componentize" "$built/$target/release/${guest//-/_}.wasm" "dist/$guest.wasm"
done
