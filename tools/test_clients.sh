#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs programs from PyPI that use esptool into an environment of their own, with our wheel in
# place of the public tool, and runs tools/clients on them.
set -eu
cd "$(dirname "$0")/.."
env=.venv-clients
[ -x $env/bin/python ] || "${PYTHON:-python3}" -m venv $env
wheel="$(ls -t dist/esptool-*.whl | head -n 1)"
$env/bin/python -m pip install --quiet --disable-pip-version-check "$wheel" \
    pytest pytest-embedded-serial-esp pytest-embedded-idf \
    esp-coredump esp-secure-cert-tool mpflash esp-idf-monitor \
    idftool 'esp-donut[hands]' mcesptool mp-image-tool-esp32
$env/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
PATH="$PWD/$env/bin:$PATH"
tests="$PWD/tools/clients"
# Not from this folder: a Python that is started here also finds the sources.
cd "$env"
python -m pytest -q -p no:cacheprovider -W ignore \
    --confcutdir="$tests" -c /dev/null --rootdir="$tests" "$tests"
