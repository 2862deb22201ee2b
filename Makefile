# The commands of the README. Each installs what is missing, configures, builds and runs.
PRESET ?= default
JOBS ?= $(shell nproc)
BUILD_DIR = $(if $(filter default,$(PRESET)),build,build-$(PRESET:cpu-%=%))

.PHONY: all deps test-deps build demo test gpu-verify clean

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

# Where there is a GPU: builds with CUDA, then runs on it what no other machine can show.
gpu-verify: test-deps
	cmake --preset cuda -DFELBO_BUILD_EMULATED=ON -DFELBO_BUILD_MUTANTS=OFF $(CMAKE_FLAGS)
	cmake --build --preset cuda -j $(JOBS)
	./scripts/gpu_verify.sh build-cuda

clean:
	rm -rf build build-*
