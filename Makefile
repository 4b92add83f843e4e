# Weir. `make demo` shows it, `make test` proves it; both set up what they need.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help
BIN := target/release/weir

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

build: $(BIN) ## plugins and gateway, release
# Plugins first: the gateway carries them as `builtin:NAME`.
$(BIN): plugins FORCE
	cargo build --release --locked

plugins: FORCE ## the WebAssembly plugins, into plugins/dist
	plugins/build.sh

demo: build ## train a model, serve it, send traffic, watch the telemetry
	$(BIN) demo

fmt: ## format everything
	cargo fmt --all
	cargo fmt --manifest-path plugins/Cargo.toml --all

lint: ## formatting, lints, the shape of the house
	cargo fmt --all --check
	cargo fmt --manifest-path plugins/Cargo.toml --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path plugins/Cargo.toml --workspace --all-targets --locked -- -D warnings

test: lint plugins ## every test that needs no server of somebody else's
	cargo test --workspace --locked
	cargo test --manifest-path plugins/Cargo.toml --workspace --locked
	python3 -m unittest discover -s tests/bench

test-peers: plugins ## the tests with real servers: FastAPI, MLflow, MLServer, Prometheus, Alertmanager, Phoenix and other receivers of traces
	tests/support/peers.sh
	WEIR_PEERS=1 cargo test --locked --test fastapi --test peers -- --nocapture
	WEIR_PEERS=1 cargo test --locked --workspace --test generate --test parity --test jitter -- --nocapture

bench: build ## Weir beside nginx, HAProxy and Envoy; about 15 minutes
	tests/bench/setup.sh
	python3 tests/bench/run.py

clean: ## remove what was built
	cargo clean
	rm -rf plugins/target plugins/dist

.PHONY: help build plugins demo fmt lint test test-peers bench clean FORCE
FORCE:
