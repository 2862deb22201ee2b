# The commands of the README. Each installs what is missing, configures, builds and runs.
PRESET ?= default
BUILD_DIR ?= build
JOBS ?= $(shell nproc)

.PHONY: all deps build demo test clean

all: build

deps:
	./scripts/install-deps.sh

build: deps
	cmake --preset $(PRESET)
	cmake --build --preset $(PRESET) --target felbo -j $(JOBS)

demo: build
	./scripts/demo.sh $(BUILD_DIR)/felbo

test: deps
	cmake --preset $(PRESET) $(CMAKE_FLAGS)
	cmake --build --preset $(PRESET) -j $(JOBS)
	ctest --preset $(PRESET) -j $(JOBS)

clean:
	rm -rf build build-*
