"""A real FHIR client (fhirpy) against the server: what it chokes on is the server's defect."""

import os
import sys
import uuid

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

BASE = os.environ.get("SUBJECT", "http://127.0.0.1:8080/fhir/R4")
MRN = "https://example.org/mrn"
LOINC = "http://loinc.org"


def want(what, found, expected):
    if found != expected:
        sys.exit(f"python: {what} is {found!r}, not {expected!r}")
    print(f"  {what}: {found!r}")


def main():
    client = SyncFHIRClient(BASE)
    mrn = str(uuid.uuid4())

    print("Create and read")
    patient = client.resource(
        "Patient",
        identifier=[{"system": MRN, "value": mrn}],
        name=[{"family": "Diallo", "given": ["Mariama"]}],
        birthDate="1988-11-23",
    )
    patient.save()
    want("version of a new patient", patient["meta"]["versionId"], "1")
    again = client.reference("Patient", patient.id).to_resource()
    want("family", again.get_by_path("name.0.family"), "Diallo")

    print("Update")
    patient["gender"] = "female"
    patient.save()
    want("version after an update", patient["meta"]["versionId"], "2")
    again["gender"] = "unknown"
    again.save()
    want("version after another", again["meta"]["versionId"], "3")

    print("Update by criteria")
    by_mrn = client.resources("Patient").search(identifier=f"{MRN}|{mrn}")
    twin, created = by_mrn.update(
        client.resource(
            "Patient",
            identifier=[{"system": MRN, "value": mrn}],
            name=[{"family": "Diallo", "given": ["Mariama", "Aissatou"]}],
        )
    )
    want("created anew", created, False)
    want("the same patient", twin.id, patient.id)
    want("found once", by_mrn.count(), 1)

    print("A transaction with references within it")
    full_url = f"urn:uuid:{uuid.uuid4()}"
    entries = [
        {
            "fullUrl": full_url,
            "resource": {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
                "subject": {"reference": f"Patient/{patient.id}"},
            },
            "request": {"method": "POST", "url": "Encounter"},
        }
    ]
    for day in range(1, 26):
        entries.append(
            {
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"coding": [{"system": LOINC, "code": "8867-4"}]},
                    "subject": {"reference": f"Patient/{patient.id}"},
                    "encounter": {"reference": full_url},
                    "effectiveDateTime": f"2024-03-{day:02}",
                    "valueQuantity": {"value": 60 + day, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
                },
                "request": {"method": "POST", "url": "Observation"},
            }
        )
    bundle = client.resource("Bundle", type="transaction", entry=entries)
    bundle.save()

    print("Search: pages, counts, sorting, chains of criteria")
    observations = client.resources("Observation").search(patient=patient.id, code=f"{LOINC}|8867-4")
    want("count", observations.count(), 25)
    want("all pages of ten", len(observations.limit(10).fetch_all()), 25)
    first = observations.sort("-date").limit(1).fetch()[0]
    want("the newest", first["effectiveDateTime"], "2024-03-25")
    want("in a week", observations.search(date__ge="2024-03-08", date__lt="2024-03-15").count(), 7)
    with_patient = observations.include("Observation", "subject").limit(5).fetch_raw()
    modes = [entry["search"]["mode"] for entry in with_patient["entry"]]
    want("a page with what it refers to", (modes.count("match"), modes.count("include")), (5, 1))
    encounter = first["encounter"].to_resource()
    want("the reference within the transaction", encounter["status"], "finished")

    print("Errors are OperationOutcomes")
    try:
        client.resource("Patient", id="x y").save()
        sys.exit("python: an invalid id was taken")
    except OperationOutcome as error:
        want("outcome of an invalid id", error.resource["resourceType"], "OperationOutcome")
    patient.delete()
    try:
        client.reference("Patient", patient.id).to_resource()
        sys.exit("python: a deleted patient was read")
    except (ResourceNotFound, OperationOutcome) as error:
        print(f"  a deleted patient: {type(error).__name__}")
    print("python: all as it should be")


if __name__ == "__main__":
    main()
