//! Where the committed data comes from, as a page beside it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{package, search_parameter};

/// The page of `profiles/data`.
pub(crate) fn profiles() -> Vec<u8> {
    let mut page = head("Types, code systems and value sets of FHIR R4");
    page.push_str(
        "
| file | holds | from |
|---|---|---|
| `types.ndjson.zst` | resource, complex and primitive types, backbone elements by path | hl7.fhir.r4.examples |
| `resource-types.txt` | the number of each resource type: its line; lines are only ever added | hl7.fhir.r4.examples |
| `code-systems.*`, `value-sets.*` | concepts; `compose` and published expansions | all three packages |

Where two packages define the same URL, hl7.terminology.r4 speaks for `http://terminology.hl7.org/...` and
hl7.fhir.r4.examples for all others. An expansion is taken where it belongs to the definition that is taken. Left out of
every resource: narrative, contacts, dates, identifiers, extensions. Profiles, logical models and OperationDefinitions
are not taken.

Some code systems and value sets repeat codes of others (LOINC, SNOMED CT, DICOM, UCUM ...), as HL7 publishes them by
agreement with their owners; `copyright` of such a resource is kept and says so. That those codes are here gives no
right to use these terminologies beyond it.
",
    );
    page.into_bytes()
}

/// The page of `search-params/data`.
pub(crate) fn search_parameters(left_out: &BTreeMap<String, &str>) -> Vec<u8> {
    let mut page = head("Search parameters and compartments of FHIR R4");
    page.push_str(
        "
| file | holds | from |
|---|---|---|
| `parameters.ndjson.zst` | the bases of the resource types, then the SearchParameters by URL | hl7.fhir.r4.examples |
| `compartments.json` | the CompartmentDefinitions by code | hl7.fhir.r4.examples |

SearchParameters of the package that are not taken:

",
    );
    for (url, reason) in left_out {
        // Writing to a string does not fail.
        let _ = writeln!(page, "- `{url}`: {reason}");
    }
    page.push_str(
        "
SearchParameters whose expression names an extension that R4 does not define. They look at the extension that R4 does
define as well:

",
    );
    for (url, path) in search_parameter::CORRECTED {
        let _ = writeln!(page, "- `{url}`: `| {path}`");
    }
    page.into_bytes()
}

fn head(title: &str) -> String {
    let mut page = format!(
        "# {title}\n\nMade by `cargo xtask definitions` from these packages of the npm registry; not to be edited.\n\
         `zstd -dc FILE` shows the text of a `.zst` file.\n\n\
         | package | version | licence | checksum |\n|---|---|---|---|\n"
    );
    for package in package::ALL {
        let _ = writeln!(
            page,
            "| {} | {} | {} (as its package.json states) | `{}` |",
            package.name, package.version, package.licence, package.integrity
        );
    }
    page.push_str(
        "\nFHIR is a registered trademark of HL7. CC0: <https://creativecommons.org/publicdomain/zero/1.0/>,\n\
         <https://hl7.org/fhir/R4/license.html>, <https://terminology.hl7.org/license.html>.\n",
    );
    page
}
