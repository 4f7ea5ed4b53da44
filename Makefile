# A thin front to Meson: `make help` lists what there is.
BUILD ?= build
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: all
all: $(BUILD)/build.ninja ## build hvsm into build/
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@scripts/install-packages build
	@meson setup $(BUILD) >/dev/null

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
