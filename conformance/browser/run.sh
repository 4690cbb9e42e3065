#!/usr/bin/env bash
# Opens the server's pages in Chromium: SUBJECT=http://127.0.0.1:8080/fhir/R4 conformance/browser/run.sh
# The driver is installed once, as the lock file says.
set -euo pipefail
cd "$(dirname "$0")"
export SUBJECT=${SUBJECT:-http://127.0.0.1:8080/fhir/R4}
if ! cmp -s package-lock.json node_modules/installed.json; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/installed.json
fi
exec node main.js
