"""Latencies of a server, one client at a time: the median and the 95th percentile of each kind of request, in milliseconds."""
import http.client, json, sys, time, urllib.parse, uuid

BASE = urllib.parse.urlsplit(sys.argv[1])
RUN = uuid.uuid4().hex[:12]
TIMES = 200
LATER = 50
connection = http.client.HTTPConnection(BASE.netloc, timeout=60)


def send(method, path, body=None, headers=None):
    text = json.dumps(body) if body is not None else None
    connection.request(method, BASE.path + path, text, {"Content-Type": "application/fhir+json"} | (headers or {}))
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {answer.status} {content[:300]!r}")
    return json.loads(content) if content else None


def patient(n):
    return {"resourceType": "Patient", "identifier": [{"system": "urn:x:" + RUN, "value": str(n)}],
            "name": [{"family": f"F{n % 97}{RUN}"}], "birthDate": f"19{n % 90 + 10}-01-01"}


def observation(n, of):
    return {"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/" + of},
            "category": [{"coding": [{"system": "urn:cat", "code": f"c{n % 3}"}]}],
            "code": {"coding": [{"system": "urn:code:" + RUN, "code": f"k{n % 20}"}]},
            "effectiveDateTime": f"20{n % 20 + 10}-02-03", "valueQuantity": {"value": n, "unit": "mg"}}


def transaction(n):
    entries = [{"resource": patient(n * 10 + i), "request": {"method": "POST", "url": "Patient"}} for i in range(10)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


patients = [send("POST", "/Patient", patient(n))["id"] for n in range(TIMES)]
for at in range(0, TIMES * 5, 100):
    entries = [{"resource": observation(n, patients[n % TIMES]), "request": {"method": "POST", "url": "Observation"}}
               for n in range(at, at + 100)]
    send("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})

CODE = "/Observation?code=" + urllib.parse.quote(f"urn:code:{RUN}|k7")
KINDS = [
    ("read by id", TIMES, lambda n: send("GET", "/Patient/" + patients[n % TIMES])),
    ("search by identifier", TIMES, lambda n: send("GET", f"/Patient?identifier=urn:x:{RUN}%7C{n}")),
    ("search by patient", TIMES, lambda n: send("GET", "/Observation?patient=" + patients[n % TIMES])),
    ("search by code", TIMES, lambda n: send("GET", CODE)),
    ("search by category", TIMES, lambda n: send("GET", "/Observation?category=c1")),
    ("search by name", TIMES, lambda n: send("GET", f"/Patient?family=f{n % 97}{RUN}")),
    ("sort by a number", LATER, lambda n: send("GET", "/Observation?_sort=value-quantity")),
    ("_include", TIMES, lambda n: send("GET", CODE + "&_include=Observation:subject")),
    ("history of a type", LATER, lambda n: send("GET", "/Patient/_history")),
    ("create", TIMES, lambda n: send("POST", "/Patient", patient(n))),
    ("update", TIMES, lambda n: send("PUT", "/Patient/" + patients[n % TIMES], patient(n + 1000) | {"id": patients[n % TIMES]})),
    ("conditional create", LATER, lambda n: send("POST", "/Patient", patient(n + 90000), {"If-None-Exist": f"identifier=urn:x:{RUN}%7C{n + 90000}"})),
    ("transaction of 10 creates", LATER, lambda n: send("POST", "", transaction(n + 10000))),
]
print("| request | p50 ms | p95 ms |\n|---|---|---|")
for name, times, ask in KINDS:
    took = []
    for n in range(times):
        began = time.perf_counter()
        ask(n)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    print(f"| {name} | {took[times // 2]:.1f} | {took[times * 95 // 100]:.1f} |")
print(f"{len(KINDS)} kinds of requests")
