#!/usr/bin/env bash
# A walk through the server with curl: create, read, search, transaction, history, patch, delete.
# Checks what it sees, and ends with an error when something is not as FHIR says.
#
#   SUBJECT=http://127.0.0.1:8080/fhir/R4 examples/walk.sh
set -euo pipefail

BASE=${SUBJECT:-http://127.0.0.1:8080/fhir/R4}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# So that a second walk does not find the traces of the first.
MRN=walk-$$-$(date +%s)

# ask METHOD PATH [curl options]: the body goes to $body, the headers to $work/head, the status to $status
ask() {
  local method=$1 path=$2
  shift 2
  echo "  $method $path"
  status=$(curl -sS -g -X "$method" -H 'Accept: application/fhir+json' -D "$work/head" -o "$work/body" \
    -w '%{http_code}' "$@" "$BASE$path")
  body=$(cat "$work/body")
}
header() { grep -i "^$1:" "$work/head" | tail -1 | cut -d: -f2- | tr -d '\r' | sed 's/^ *//'; }
get() { jq -r "$1" <<<"$body"; }
# want WHAT FOUND EXPECTED
want() {
  if [[ $2 != "$3" ]]; then
    echo "walk.sh: $1 is \`$2\`, not \`$3\`" >&2
    printf '%s\n' "$body" >&2
    exit 1
  fi
}
json=(-H 'Content-Type: application/fhir+json')

echo 'What can the server do?'
ask GET /metadata
want status "$status" 200
want fhirVersion "$(get .fhirVersion)" 4.0.1

echo 'Create a patient'
ask POST /Patient "${json[@]}" -d '{
  "resourceType": "Patient",
  "identifier": [{"system": "https://example.org/mrn", "value": "'"$MRN"'"}],
  "name": [{"family": "Abubakar", "given": ["Amina"]}],
  "gender": "female",
  "birthDate": "1992-08-03"
}'
want status "$status" 201
want ETag "$(header etag)" 'W/"1"'
id=$(get .id)
want Location "$(header location)" "$BASE/Patient/$id/_history/1"

echo 'Read it back, and again only if it changed'
ask GET "/Patient/$id"
want status "$status" 200
want family "$(get '.name[0].family')" Abubakar
ask GET "/Patient/$id" -H 'If-None-Match: W/"1"'
want status "$status" 304

echo 'The same as XML'
ask GET "/Patient/$id?_format=xml"
want 'Content-Type' "$(header content-type)" 'application/fhir+xml; charset=utf-8'
want 'XML root' "$(grep -o '<Patient xmlns="[^"]*">' "$work/body")" '<Patient xmlns="http://hl7.org/fhir">'

echo 'Create it again only if it is not there'
ask POST /Patient "${json[@]}" -H "If-None-Exist: identifier=https://example.org/mrn|$MRN" \
  -d '{"resourceType": "Patient"}'
want status "$status" 200
want 'what is there' "$(header location)" "$BASE/Patient/$id/_history/1"

echo 'Update it, knowing the version'
ask PUT "/Patient/$id" "${json[@]}" -H 'If-Match: W/"1"' -d '{
  "resourceType": "Patient",
  "id": "'"$id"'",
  "identifier": [{"system": "https://example.org/mrn", "value": "'"$MRN"'"}],
  "name": [{"family": "Abubakar", "given": ["Amina", "Zainab"]}],
  "gender": "female",
  "birthDate": "1992-08-03"
}'
want status "$status" 200
want version "$(get .meta.versionId)" 2
ask PUT "/Patient/$id" "${json[@]}" -H 'If-Match: W/"1"' -d '{"resourceType": "Patient", "id": "'"$id"'"}'
want 'status of a stale update' "$status" 412
want outcome "$(get .resourceType)" OperationOutcome

echo 'Patch it'
ask PATCH "/Patient/$id" -H 'Content-Type: application/json-patch+json' \
  -d '[{"op": "add", "path": "/active", "value": true}]'
want status "$status" 200
want active "$(get .active)" true

echo 'A visit with two measurements, all or nothing'
ask POST / "${json[@]}" -d '{
  "resourceType": "Bundle",
  "type": "transaction",
  "entry": [
    {
      "fullUrl": "urn:uuid:6f0e6f0c-93b4-4f43-9b5a-000000000001",
      "resource": {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient?identifier=https://example.org/mrn|'"$MRN"'"},
        "period": {"start": "2024-05-01T09:00:00+01:00", "end": "2024-05-01T09:20:00+01:00"}
      },
      "request": {"method": "POST", "url": "Encounter"}
    },
    {
      "resource": {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]},
        "subject": {"reference": "Patient/'"$id"'"},
        "encounter": {"reference": "urn:uuid:6f0e6f0c-93b4-4f43-9b5a-000000000001"},
        "effectiveDateTime": "2024-05-01T09:05:00+01:00",
        "valueQuantity": {"value": 61.50, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
      },
      "request": {"method": "POST", "url": "Observation"}
    },
    {
      "resource": {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5", "display": "Body temperature"}]},
        "subject": {"reference": "Patient/'"$id"'"},
        "encounter": {"reference": "urn:uuid:6f0e6f0c-93b4-4f43-9b5a-000000000001"},
        "effectiveDateTime": "2024-05-01T09:06:00+01:00",
        "valueQuantity": {"value": 38.2, "unit": "Cel", "system": "http://unitsofmeasure.org", "code": "Cel"}
      },
      "request": {"method": "POST", "url": "Observation"}
    }
  ]
}'
want status "$status" 200
want type "$(get .type)" transaction-response
want answers "$(get '[.entry[].response.status[0:3]] | join(" ")')" '201 201 201'

echo 'Search what was measured, newest first, with the patient'
ask GET "/Observation?patient=$id&_sort=-date&_include=Observation:subject&_total=accurate"
want status "$status" 200
want total "$(get .total)" 2
want matches "$(get '[.entry[] | select(.search.mode == "match") | .resource.code.coding[0].code] | join(" ")')" \
  '8310-5 29463-7'
want included "$(get '[.entry[] | select(.search.mode == "include") | .resource.id] | join(" ")')" "$id"
want 'the digits of a measurement' "$(grep -o '"value" *: *61.50' "$work/body" | tr -d ' ')" '"value":61.50'

echo 'Search by POST, in the compartment, by quantity'
ask POST "/Patient/$id/Observation/_search" -d 'value-quantity=gt38|http://unitsofmeasure.org|Cel'
want status "$status" 200
want matches "$(get '[.entry[].resource.code.coding[0].code] | join(" ")')" 8310-5

echo 'A transaction that fails leaves nothing'
ask POST / "${json[@]}" -d '{
  "resourceType": "Bundle",
  "type": "transaction",
  "entry": [
    {"resource": {"resourceType": "Patient", "identifier": [{"system": "https://example.org/mrn", "value": "'"$MRN-2"'"}]},
     "request": {"method": "POST", "url": "Patient"}},
    {"resource": {"resourceType": "Patient", "id": "'"$id"'"},
     "request": {"method": "PUT", "url": "Patient/'"$id"'", "ifMatch": "W/\"1\""}}
  ]
}'
want status "$status" 412
ask GET "/Patient?identifier=https://example.org/mrn|$MRN-2&_summary=count"
want total "$(get .total)" 0

echo 'Delete it; its history stays'
ask DELETE "/Patient/$id"
[[ $status == 200 || $status == 204 ]] || want status "$status" 204
ask GET "/Patient/$id"
want status "$status" 410
ask GET "/Patient/$id/_history"
want status "$status" 200
want 'versions, a patch as the update it came to' "$(get '[.entry[].request.method] | join(" ")')" 'DELETE PUT PUT POST'
ask GET "/Patient/$id/_history/1"
want 'given names of the first version' "$(get '.name[0].given | join(" ")')" Amina

echo 'walk.sh: all as it should be'
