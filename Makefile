# The commands of the README. Each installs what is missing, configures, builds and runs.
PRESET ?= default
JOBS ?= $(shell nproc)
BUILD_DIR = $(if $(filter default,$(PRESET)),build,build-$(PRESET:cpu-%=%))

.PHONY: all deps test-deps build demo test clean

all: build

deps:
	./scripts/install-deps.sh

test-deps:
	./scripts/install-deps.sh --test

build: deps
	cmake --preset $(PRESET) $(CMAKE_FLAGS)
	cmake --build --preset $(PRESET) --target felbo -j $(JOBS)

demo: build
	./scripts/demo.sh $(BUILD_DIR)/felbo

test: test-deps
	cmake --preset $(PRESET) $(CMAKE_FLAGS)
	cmake --build --preset $(PRESET) -j $(JOBS)
	ctest --preset $(PRESET) -j $(JOBS)

clean:
	rm -rf build build-*
