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
check: ## the tests: gcc, clang, sanitizers, style, real guests of QEMU
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

.PHONY: check-package
check-package: ## the Debian packages: built, installed, upgraded, removed
	@scripts/install-packages build test package
	@scripts/check package

.PHONY: check-kvm
check-kvm: ## hvsm on a real KVM host, which is emulated; not part of check
	@scripts/install-packages build test package
	@scripts/check kvm

.PHONY: check-faults
check-faults: ## 500 times kill -9 of the daemon's processes, other faults, a day of sweeps
	@scripts/install-packages build test
	@HVSM_FAULTS_KILLS=$${HVSM_FAULTS_KILLS:-500} scripts/check faults

.PHONY: check-xen
check-xen: ## guests of a real Xen host, which is emulated; not part of check
	@scripts/install-packages build test
	@scripts/check xen

.PHONY: check-xen-hvm
check-xen-hvm: ## the same with an HVM guest
	@scripts/install-packages build test
	@scripts/check xen-hvm

.PHONY: check-xen-kernels
check-xen-kernels: ## the same with PV guests of kernels 5.10 and 6.12
	@scripts/install-packages build test
	@scripts/check xen-kernels

.PHONY: lint
lint: ## the rules of docs/style.md that a program can check
	@scripts/check-style

.PHONY: bench
bench: all ## how fast it is, as ratios to memcpy
	@scripts/install-packages test
	@tests/bench/run.py
	@tests/bench/crowd.py

.PHONY: fuzz
fuzz: ## each fuzzer for FUZZ_SECONDS=60
	@scripts/install-packages build test
	@scripts/fuzz $(FUZZ_SECONDS)

.PHONY: docs
docs: all ## write again what is generated of the documentation
	@scripts/make-docs $(BUILD)/src/hvsm

.PHONY: install
install: all ## install all of it (prefix=/usr/local, DESTDIR=…)
	@$(if $(prefix),meson configure $(BUILD) -Dprefix=$(prefix) && ninja -C $(BUILD) --quiet)
	@meson install -C $(BUILD) --no-rebuild

.PHONY: uninstall
uninstall: ## remove what `make install` installed last; configuration and reports stay
	@ninja -C $(BUILD) uninstall

.PHONY: deb
deb: ## packages for Debian 12: build-deb/*.deb
	@scripts/install-packages build package
	@scripts/make-deb

.PHONY: clean
clean: ## remove what was built
	@rm -rf build build-clang build-asan build-fuzz

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
