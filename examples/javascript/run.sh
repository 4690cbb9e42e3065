#!/usr/bin/env bash
# Runs main.js against $SUBJECT. The packages are installed once, as the lock file says.
set -euo pipefail
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/installed.json; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/installed.json
fi
exec node main.js
