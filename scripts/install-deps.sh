#!/usr/bin/env bash
# Installs what felbo is built with, on Debian 12 or Ubuntu 24.04 and later: distribution packages by name. With --test
# also a browser, gcovr, valgrind, and the Python packages that the tests read files back with, in build/venv. Does
# nothing where all is there. Without root or sudo it prints the command and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  build-essential cmake ninja-build ccache                           # build
  libdnnl-dev ocl-icd-opencl-dev                                     # oneDNN, whose CMake files ask for OpenCL
  libfmt-dev libspdlog-dev nlohmann-json3-dev                        # libraries
  libcli11-dev libtomlplusplus-dev libpng-dev zlib1g-dev libzip-dev libssl-dev libeigen3-dev
  libprotobuf-dev protobuf-compiler
  libbenchmark-dev libgtest-dev librandom123-dev                     # benchmarks and tests
  libboost-context-dev                                               # the CUDA emulator (FELBO_BUILD_EMULATED)
  python3 python3-venv curl ca-certificates                          # file tests, data sets
)

case "${1:-}" in
  "" | --test) ;;
  *) echo "usage: scripts/install-deps.sh [--test]" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed'; then
    missing+=("$package")
  fi
done

if [ "${#missing[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "felbo: these Debian packages are missing, and there is no apt-get here: ${missing[*]}" >&2
    exit 1
  fi
  install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -eq 0 ]; then
    run=(sh -c)
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    run=(sudo sh -c)
  elif command -v sudo >/dev/null && [ -t 0 ]; then
    run=(sudo sh -c) # asks for the password
  else
    echo "felbo: packages are missing. As root, run:" >&2
    echo "  $install" >&2
    exit 1
  fi
  echo "felbo: installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive "${run[@]}" "$install"
fi

[ "${1:-}" = --test ] || exit 0

# What checks are left out without. The tests of pages look at them in a browser; Ubuntu's is no package but a snap, which a
# container cannot run.
extras=()
for tool in gcovr valgrind; do
  command -v "$tool" >/dev/null || extras+=("$tool")
done
if ! command -v chromium >/dev/null && grep -qs '^ID=debian' /etc/os-release; then
  extras+=(chromium fonts-dejavu-core)
fi
if [ "${#extras[@]}" -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  echo "felbo: installing ${extras[*]} for the tests"
  "${as_root[@]}" sh -c "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends ${extras[*]}" >/dev/null ||
    echo "felbo: ${extras[*]} could not be installed: the tests that need them will skip" >&2
fi

# The tests check that numpy, safetensors and TensorBoard read what felbo writes; without them those tests say that they skip.
requirements=tests/requirements.txt
stamp=build/venv/installed.txt
if ! cmp -s "$requirements" "$stamp"; then
  echo "felbo: installing $(tr '\n' ' ' <"$requirements")into build/venv"
  mkdir -p build
  if python3 -m venv build/venv &&
    build/venv/bin/pip install --quiet --disable-pip-version-check -r "$requirements"; then
    cp "$requirements" "$stamp"
  else
    echo "felbo: the Python packages could not be installed: the tests that need them will skip" >&2
  fi
fi
