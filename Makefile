# Each target is a line or two; what it does in full stands behind the name that it runs.
# `make demo ARGS=--once` hands flags on.
SHELL  := /bin/sh
CARGO  ?= cargo
AMENDS  = $(CARGO) run --locked --quiet --package amends --
ARGS   ?=
# jemalloc, faster than the allocator that is built in else, cannot be built where a path has a space in it.
BUILT_IN = $(if $(filter /%,$(CARGO_TARGET_DIR)),,$(CURDIR))$(CARGO_TARGET_DIR)
JEMALLOC = $(if $(word 2,$(BUILT_IN)),,--features jemalloc)
# Built for themselves, with optimisation, and with planted bugs, which nothing that ships has.
PROOFS  = amends-simulation amends-model amends-planted

.PHONY: help demo test sim chaos soak scenario planted bench bench-full model mutants check fmt lint nats-server
.DEFAULT_GOAL := help

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

demo: ## five orders with five fates, on a broker and services of their own; Ctrl-C removes it all
	@$(CARGO) run --locked --package amends -- demo $(ARGS)

test: ## everything: format, clippy, all tests (installs PostgreSQL and nats-server if missing), the simulation, the demo
	@deploy/local/test-tools.sh
	@deploy/local/python-tools.sh
	@$(MAKE) --no-print-directory check
	NATS_SERVER_BIN="$$($(AMENDS) nats-server)" && export NATS_SERVER_BIN && $(CARGO) test --locked --workspace $(PROOFS:%=--exclude %)
	$(CARGO) test --locked --profile sim $(PROOFS:%=--package %)
	@$(MAKE) --no-print-directory sim SEED= SAGAS=
	$(AMENDS) demo --once

sim: ## 100,000 sagas in worlds full of faults; SEED=n replays one world, SAGAS=n runs as many
	@SEED="$(SEED)" SAGAS="$(SAGAS)" $(CARGO) run --locked --quiet --profile sim --package amends-simulation

chaos: ## three minutes of faults on real processes: fixed seeds and a new one; SEED=n runs one again
	@deploy/local/test-tools.sh
	@$(CARGO) build --locked --quiet --package amends --features crash-points $(JEMALLOC)
	@SEED="$(SEED)" MINUTES= $(CARGO) run --locked --quiet --package amends-chaos

soak: ## one run of MINUTES=n; SEED=n says which
	@deploy/local/test-tools.sh
	@$(CARGO) build --locked --quiet --package amends --features crash-points $(JEMALLOC)
	@SEED="$(SEED)" MINUTES="$(or $(MINUTES),20)" $(CARGO) run --locked --quiet --package amends-chaos

scenario: ## long runs with a name; ONLY=cluster ORDERS=300 RATE=15; ONLY=list says which there are
	@deploy/local/test-tools.sh
	@$(CARGO) build --locked --quiet --package amends --features crash-points $(JEMALLOC)
	@ONLY="$(ONLY)" ORDERS="$(ORDERS)" RATE="$(RATE)" SEED="$(SEED)" $(CARGO) run --locked --quiet --package amends-chaos -- scenario

planted: ## each planted bug in real processes is caught by the auditor; ONLY=no-tombstone plants one
	@deploy/local/test-tools.sh
	@$(CARGO) build --locked --quiet --package amends --features planted
	@ONLY="$(ONLY)" $(CARGO) run --locked --quiet --package amends-chaos -- planted

bench: ## how fast it is, beside the floor; ONLY=<names or parts of them>, RUNS=3 for medians, ARGS=--list
	@$(CARGO) build --locked --quiet --release --package amends --package amends-bench $(JEMALLOC)
	@ONLY="$(ONLY)" RUNS="$(or $(RUNS),1)" $(CARGO) run --locked --quiet --release --package amends-bench $(JEMALLOC) -- run $(ARGS)

bench-full: ## what takes long as well: two million stored, overload, idle, a start among 100,000 open sagas
	@$(MAKE) --no-print-directory bench ARGS="--full $(ARGS)"

check: lint ## format, clippy with warnings denied, and the rules of the code (no servers needed)
	$(CARGO) fmt --all --check
	$(CARGO) test --locked --package amends-tests --test tidy

model: ## goes through every state of small sagas, prints how many there are; AMENDS_MODEL_SENDS=4 goes far
	@$(CARGO) run --locked --profile sim --package amends-model -- $(ARGS)

mutants: ## breaks the engine in every small way and shows what no test notices (hours; needs cargo-mutants)
	$(CARGO) mutants --package amends-engine $(ARGS)

fmt: ## formats the code
	$(CARGO) fmt --all

lint: ## clippy with warnings denied
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

nats-server: ## prints the path of a fit nats-server; installs the pinned one if there is none
	@$(AMENDS) nats-server
