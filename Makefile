# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

FLEET := tests/hosts/fleet
BINARY := target/release/pressluft

.PHONY: help demo demo-down test test-fast faults guards check bench hosts-up hosts-down release package schemas

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## Two real hosts, a fleet repo, WordPress on them
	@tests/demo/up

demo-down: ## Take the demo down
	@tests/demo/down

test: ## Everything, the tests on real hosts included
	@tests/run

test-fast: ## What needs neither root nor hosts
	@tests/run fast

faults: ## The fault matrix and the simulation at full dose, see docs/reliability.md
	@tests/need build
	@PRESSLUFT_FAULTS_DOSE=large cargo test --locked --features crash-points --test faults
	@PROPTEST_CASES=$${PROPTEST_CASES:-4000} cargo test --locked --features crash-points --test simulation

guards: ## Each guard of a boundary taken out, to see its test fail; takes hours
	@tests/need build && tests/need run && $(FLEET) need
	@tests/boundaries/guards run

check: ## Formatting, lints, docs, generated files
	@tests/check

bench: ## Ratios against the yardsticks, in one run
	@bench/run

hosts-up: ## Boot two test hosts and leave them
	@$(FLEET) need && $(FLEET) up 2

hosts-down: ## Take the test hosts down
	@$(FLEET) down

release: ## Build the binary that is shipped, target/dist/pressluft
	@tests/need build
	@cargo build --profile dist --locked

package: release ## A Debian package, and an archive with install.sh, in target/package
	@packaging/make

schemas: ## Write the generated files anew
	@UPDATE=1 cargo test --locked --test documents
