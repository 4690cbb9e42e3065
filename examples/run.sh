#!/usr/bin/env bash
# Runs all examples against a server: SUBJECT=http://127.0.0.1:8080/fhir/R4 examples/run.sh
set -euo pipefail
cd "$(dirname "$0")"
export SUBJECT=${SUBJECT:-http://127.0.0.1:8080/fhir/R4}
for example in ./walk.sh ./python/run.sh ./javascript/run.sh; do
  echo "== $example"
  "$example"
done
