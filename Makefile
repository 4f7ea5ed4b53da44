# A thin front to Meson: `make help` lists what there is.
BUILD ?= build
FUZZ_SECONDS ?= 60
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: all
all: $(BUILD)/build.ninja ## build hvsm into build/
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@scripts/install-packages build
	@meson setup $(BUILD) >/dev/null

.PHONY: demo
demo: ## boot a Debian guest, scan it, attack it, scan it again
	@scripts/install-packages build test
	@$(MAKE) --no-print-directory all
	@scripts/demo

.PHONY: check
check: ## every test: gcc, clang, sanitizers, style, real guests
	@scripts/install-packages build test
	@scripts/check full

.PHONY: check-fast
check-fast: ## what takes less than a minute: one compiler, no guests
	@scripts/install-packages build test
	@scripts/check fast

.PHONY: check-vm
check-vm: ## the tests against real guests only
	@scripts/install-packages build test
	@scripts/check vm

.PHONY: check-kvm
check-kvm: ## hvsm on a real KVM host, which is emulated
	@scripts/install-packages build test
	@scripts/check kvm

.PHONY: lint
lint: ## the rules of docs/style.md that a program can check
	@scripts/check-style

.PHONY: bench
bench: all ## how fast it is, as ratios to memcpy
	@scripts/install-packages test
	@tests/bench/run.py

.PHONY: fuzz
fuzz: ## each fuzzer for FUZZ_SECONDS=60
	@scripts/install-packages build test
	@scripts/fuzz $(FUZZ_SECONDS)

.PHONY: docs
docs: all ## write again what is generated of the documentation
	@scripts/make-docs $(BUILD)/src/hvsm

.PHONY: install
install: all ## install the command, its manual, completion and schemas (DESTDIR=…)
	@meson install -C $(BUILD) --no-rebuild

.PHONY: clean
clean: ## remove what was built
	@rm -rf build build-clang build-asan build-fuzz

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
