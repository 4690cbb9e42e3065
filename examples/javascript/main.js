// A real FHIR client (fhir-kit-client) against the server: what it chokes on is the server's defect.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Client } from "fhir-kit-client";

const client = new Client({ baseUrl: process.env.SUBJECT ?? "http://127.0.0.1:8080/fhir/R4" });
const MRN = "https://example.org/mrn";
const mrn = randomUUID();

/** Awaits a failure of the given status. */
async function refused(status, promise) {
  const error = await promise.then(() => assert.fail("it was not refused"), (error) => error);
  assert.equal(error.response?.status, status, error.message);
  return error.response.data;
}

console.log("Capabilities");
const statement = await client.capabilityStatement();
assert.equal(statement.fhirVersion, "4.0.1");

console.log("Create, read, vread");
const patient = await client.create({
  resourceType: "Patient",
  body: {
    resourceType: "Patient",
    identifier: [{ system: MRN, value: mrn }],
    name: [{ family: "Nakato", given: ["Sarah"] }],
    birthDate: "2001-02-14",
  },
});
assert.equal(patient.meta.versionId, "1");
const read = await client.read({ resourceType: "Patient", id: patient.id });
assert.deepEqual(read, patient);

console.log("Update, patch, history");
await client.update({ resourceType: "Patient", id: patient.id, body: { ...patient, gender: "female" } });
const patched = await client.patch({
  resourceType: "Patient",
  id: patient.id,
  jsonPatch: [{ op: "replace", path: "/gender", value: "unknown" }],
});
assert.equal(patched.gender, "unknown");
const first = await client.vread({ resourceType: "Patient", id: patient.id, version: "1" });
assert.equal(first.gender, undefined);
const history = await client.history({ resourceType: "Patient", id: patient.id });
assert.deepEqual(history.entry.map((entry) => entry.request.method), ["PUT", "PUT", "POST"]);

console.log("Transaction");
const entry = (number) => ({
  resource: {
    resourceType: "Observation",
    status: "final",
    code: { coding: [{ system: "http://loinc.org", code: "8302-2" }] },
    subject: { reference: `Patient/${patient.id}` },
    effectiveDateTime: `2024-01-${String(number).padStart(2, "0")}`,
    valueQuantity: { value: 150 + number, unit: "cm", system: "http://unitsofmeasure.org", code: "cm" },
  },
  request: { method: "POST", url: "Observation" },
});
const answer = await client.transaction({
  body: { resourceType: "Bundle", type: "transaction", entry: Array.from({ length: 15 }, (_, i) => entry(i + 1)) },
});
assert.equal(answer.entry.length, 15);
assert.ok(answer.entry.every(({ response }) => response.status.startsWith("201")));

console.log("Search, by GET, by POST, page by page, in the compartment");
const byIdentifier = await client.search({ resourceType: "Patient", searchParams: { identifier: `${MRN}|${mrn}` } });
assert.deepEqual(byIdentifier.entry.map(({ resource }) => resource.id), [patient.id]);
const posted = await client.search({
  resourceType: "Patient",
  searchParams: { identifier: `${MRN}|${mrn}` },
  options: { postSearch: true },
});
assert.equal(posted.entry.length, 1);
const seen = new Set();
let page = await client.search({
  resourceType: "Observation",
  searchParams: { patient: patient.id, _sort: "date", _count: 4 },
});
for (let pages = 0; page; pages += 1) {
  assert.ok(pages < 10, "paging does not end");
  for (const { resource } of page.entry ?? []) {
    assert.ok(!seen.has(resource.id), "a row came twice");
    seen.add(resource.id);
  }
  page = await client.nextPage({ bundle: page });
}
assert.equal(seen.size, 15);
const compartment = await client.compartmentSearch({
  resourceType: "Observation",
  compartment: { resourceType: "Patient", id: patient.id },
  searchParams: { _count: 100 },
});
assert.equal(compartment.entry.length, 15);

console.log("Errors are OperationOutcomes");
const unknown = await refused(404, client.read({ resourceType: "Patient", id: "no-such-patient" }));
assert.equal(unknown.resourceType, "OperationOutcome");
const stale = client.update({
  resourceType: "Patient",
  id: patient.id,
  body: patient,
  options: { headers: { "If-Match": 'W/"1"' } },
});
assert.equal((await refused(412, stale)).resourceType, "OperationOutcome");

console.log("Delete");
await client.delete({ resourceType: "Patient", id: patient.id });
await refused(410, client.read({ resourceType: "Patient", id: patient.id }));
console.log("javascript: all as it should be");
