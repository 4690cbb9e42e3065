#!/usr/bin/env python3
"""Fills an empty server of the previous release with what `previous.sql.gz` holds.

    fhir-server serve --auth none --data-dir DIR          # of the previous release
    previous.py http://127.0.0.1:8080/fhir/R4
    pg_dump --inserts --no-owner --no-privileges --exclude-table-data=writer -U cari -h DIR/run cari \\
        | grep -v '^[\\\\]' | gzip -9n > previous.sql.gz

What a test expects of the data stands in `it/previous.rs`.
"""
import json
import sys
import urllib.error
import urllib.request

BASE = sys.argv[1]


def send(method, path, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    kind = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
    request = urllib.request.Request(f"{BASE}/{path}", data, {"content-type": kind, **headers}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")


def put(resource):
    send("PUT", f"{resource['resourceType']}/{resource['id']}", resource)


# A search parameter of the database's own, before and after what it is about.
def patient(n, **more):
    return {
        "resourceType": "Patient", "id": f"p{n}", "active": n % 2 == 0, "gender": ["male", "female"][n % 2],
        "birthDate": f"19{50 + n}-0{1 + n % 9}-1{n % 10}",
        "identifier": [{"system": "http://example.org/mrn", "value": f"MRN-{n:03}"}],
        "name": [{"family": ["Ünal", "Ng'ang'a", "O'Brien", "Smith"][n % 4], "given": [f"Given{n}"]}],
        "extension": [{"url": "http://example.org/eye", "valueCode": ["brown", "blue"][n % 2]}], **more,
    }


put({"resourceType": "Organization", "id": "org", "name": "Mombasa General", "partOf": {"reference": "Organization/parent"}})
put({"resourceType": "Organization", "id": "parent", "name": "Ministry"})
for n in range(8):
    put(patient(n, managingOrganization={"reference": "Organization/org"}))
send("POST", "SearchParameter", {
    "resourceType": "SearchParameter", "url": "http://example.org/SearchParameter/eye", "name": "Eye", "status": "active",
    "description": "Colour of the eyes", "code": "eye", "base": ["Patient"], "type": "token",
    "expression": "Patient.extension.where(url = 'http://example.org/eye').value",
})
for n in range(8, 12):
    put(patient(n, managingOrganization={"reference": "Organization/org"}))
for n in range(24):
    send("POST", "Observation", {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": ["8480-6", "8867-4"][n % 2]}], "text": f"Reading {n}"},
        "subject": {"reference": f"Patient/p{n % 12}"}, "effectiveDateTime": f"2026-0{1 + n % 9}-15T08:{n:02}:00Z",
        "valueQuantity": {"value": 60 + n, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
    })
put({"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
     "subject": {"reference": "Patient/p1"}, "period": {"start": "2026-02-01", "end": "2026-02-03"}})
put({"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "aGVsbG8="})
put({"resourceType": "Basic", "id": "exact", "code": {"text": "numbers"},
     "extension": [{"url": "http://example.org/n", "valueDecimal": 1}, {"url": "http://example.org/long",
                   "valueString": "long " * 2000}]})
# History: three versions, a patch, a deletion, and one that came back.
for gender in ["other", "unknown"]:
    put({**patient(1), "gender": gender})
send("PATCH", "Patient/p1", [{"op": "replace", "path": "/gender", "value": "female"}])
send("DELETE", "Patient/p2")
send("DELETE", "Patient/p3")
put(patient(3, gender="other"))
send("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [
    {"fullUrl": "urn:uuid:5f0c1f3a-0000-4000-8000-000000000001", "request": {"method": "POST", "url": "Patient"},
     "resource": {"resourceType": "Patient", "identifier": [{"system": "http://example.org/mrn", "value": "TX"}]}},
    {"request": {"method": "POST", "url": "Condition", "ifNoneExist": "identifier=TX"},
     "resource": {"resourceType": "Condition", "identifier": [{"value": "TX"}],
                  "subject": {"reference": "urn:uuid:5f0c1f3a-0000-4000-8000-000000000001"}}},
]})
print(send("GET", "?_summary=count")["total"], "resources")
