#!/usr/bin/env bash
# Runs main.py against $SUBJECT in a virtual environment of its own, kept below the build directory.
set -euo pipefail
cd "$(dirname "$0")"
venv=${CARGO_TARGET_DIR:-../../target}/example-python
if ! cmp -s requirements.txt "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --requirement requirements.txt
  cp requirements.txt "$venv/installed.txt"
fi
exec "$venv/bin/python" main.py
