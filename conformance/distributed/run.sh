#!/usr/bin/env bash
# What holds on a distributed PostgreSQL, found out on one: the suite, races, kills of the server and of a worker node, latencies.
# Prints a table; exit status 0: all of it passed; 1: something did not; 2: there was nothing to test.
#
#   DATABASE_URL=postgres://user:password@coordinator/database conformance/distributed/run.sh
#
# The database is that of a Citus coordinator with at least one worker node, and for tests alone. KILL_WORKER, a shell
# command, kills a worker node and starts it again; without it that row says so, and the run is no pass. RACES (1000), KILLS (10) and
# SETTLE (70: seconds until Citus has committed what a killed node had prepared, by its default) may be set.
set -uo pipefail
cd "$(dirname "$0")/../.."

if [[ -z ${DATABASE_URL:-} ]]; then
  echo 'DATABASE_URL names no distributed PostgreSQL: nothing was tested' >&2
  exit 2
fi
# Settings of the server in the caller's environment would have it run otherwise.
url=$DATABASE_URL
for name in $(compgen -e | grep '^CARI_'); do unset "$name"; done
unset DATABASE_URL
port=${PORT:-18290}
first=http://127.0.0.1:$port/fhir/R4 second=http://127.0.0.1:$((port + 1))/fhir/R4
folder=$(mktemp -d)
# Servers of one database go by the same urls.
export CARI_BASE_URL=http://127.0.0.1:$port
rows=() failed=0 pids=()

stop() {
  [[ ${#pids[@]} == 0 ]] || kill -TERM "${pids[@]}" 2>/dev/null
  wait 2>/dev/null
  pids=()
}
trap 'stop; rm -rf "$folder"' EXIT

cargo build --workspace --quiet || exit 1
# Named by the environment, as a command line is seen by everybody.
export CARI_DATABASE__URL=$url
target=${CARGO_TARGET_DIR:-target}/debug

# A row of the table: what was done, whether it passed, and the last line that it printed.
row() {
  local name=$1 log status=passed
  shift
  log=$folder/$(tr -c 'a-z\n' - <<<"$name").log
  "$@" >"$log" 2>&1 || { status=FAILED; failed=1; tail -40 "$log" >&2; }
  rows+=("| $name | $status | $(tail -1 "$log" | tr '|' '/') |")
  echo "$name: $status" >&2
}

serve() {
  if curl -s "http://127.0.0.1:$1/health" >/dev/null; then
    echo "port $1 is taken: what is tested would be another server" >&2
    return 1
  fi
  "$target/fhir-server" serve --auth none --listen "127.0.0.1:$1" >"$folder/server-$1.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 300); do
    curl -fs "http://127.0.0.1:$1/ready" >/dev/null && kill -0 "${pids[-1]}" && return 0
    kill -0 "${pids[-1]}" 2>/dev/null || break
    sleep 0.2
  done
  tail -5 "$folder/server-$1.log" >&2
  return 1
}

row 'tables are distributed' "$target/fhir-server" migrate --distribute
[[ $failed == 0 ]] || { printf '%s\n' "${rows[@]}"; exit 1; }
serve "$port" && serve "$((port + 1))" || exit 1

row 'conformance pages' env SUBJECT="$first" "$target/fhir-conformance"
row 'races over two servers' "$target/fhir-conformance" races --urls "$first,$second" --races "${RACES:-1000}"
row 'latencies' python3 conformance/distributed/latencies.py "$first"
latencies=$(grep '^|' "$folder/latencies.log")
if [[ -n ${KILL_WORKER:-} ]]; then
  row 'a worker node is killed' env SUBJECT="$first" "$target/fhir-conformance" pg-crash --kill-cmd "$KILL_WORKER" \
    --rounds "${KILLS:-10}" --settle "${SETTLE:-70}"
else
  rows+=('| a worker node is killed | NOT RUN | KILL_WORKER is not set |')
  failed=1
fi
stop
row 'the server is killed' env SUBJECT="$first" "$target/fhir-conformance" crash --rounds "${KILLS:-10}" --server-cmd \
  "'$target/fhir-server' serve --auth none --listen 127.0.0.1:$port"

printf '\n| what | | |\n|---|---|---|\n'
printf '%s\n' "${rows[@]}"
printf '\n%s\n' "$latencies"
exit "$failed"
