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
    esp-coredump esp-secure-cert-tool mpflash esp-idf-monitor
$env/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
PATH="$PWD/$env/bin:$PATH" $env/bin/python -m pytest -q -p no:cacheprovider -W ignore \
    --confcutdir=tools/clients -c /dev/null --rootdir=tools/clients tools/clients
