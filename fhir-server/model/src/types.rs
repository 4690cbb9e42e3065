//! What the engine needs to know of FHIR's types: which elements a type has, and which types those have.
//!
//! The facts themselves are data, loaded elsewhere (StructureDefinitions); this is only their shape, so that
//! FHIRPath and search can be compiled without knowing where the definitions come from.

/// One element of a type, as its StructureDefinition gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The name as FHIRPath says it: `value` for `value[x]`, `given` for `HumanName.given`.
    pub name: Box<str>,
    /// The types it may have: `["string"]`, `["Quantity", "CodeableConcept", ...]`, `["Reference"]`. A backbone
    /// element has one type, named by its path (`Patient.contact`); a content reference has the type it points
    /// at (`Questionnaire.item` for `Questionnaire.item.item`). `Resource` stands for any resource.
    pub types: Vec<Box<str>>,
    /// True for `value[x]`: in JSON the key is the name followed by the capitalised type (`valueQuantity`).
    pub choice: bool,
    /// True when the element may repeat (max is not `0` or `1`): a JSON array.
    pub many: bool,
    /// The least number of repetitions.
    pub min: u32,
    /// For `Reference` and `canonical`: the resource types it may point at (`["Patient", "Group"]`); empty: any.
    pub targets: Vec<Box<str>>,
    /// Canonical URL of the bound value set, without version, when there is a binding.
    pub value_set: Option<Box<str>>,
    /// Strength of the binding: `required`, `extensible`, `preferred` or `example`.
    pub strength: Option<Strength>,
    /// True when `_summary=true` includes the element (`isSummary`).
    pub summary: bool,
    /// True when the element changes the meaning of what holds it (`isModifier`).
    pub modifier: bool,
}

/// How binding a value set is: <https://hl7.org/fhir/R4/terminologies.html#strength>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Strength {
    Required,
    Extensible,
    Preferred,
    Example,
}

/// The types of one FHIR version.
///
/// Type names are FHIR's (`Patient`, `HumanName`, `string`) and, for backbone elements, their path
/// (`Patient.contact`).
pub trait Types: Send + Sync {
    /// The element of a type, inherited ones included; `None` when the type has no such element.
    fn element(&self, type_name: &str, name: &str) -> Option<&Element>;
    /// The elements of a type in the order of its definition, inherited ones first.
    fn elements(&self, type_name: &str) -> &[Element];
    /// The type this one specialises: `DomainResource` for `Patient`, `Quantity` for `Age`; `None` at the roots.
    fn base(&self, type_name: &str) -> Option<&str>;
    /// True for concrete resource types (`Patient`, `Bundle`), false for `Resource`, `DomainResource`, data types.
    fn is_resource(&self, type_name: &str) -> bool;
    /// True for FHIR primitives (`string`, `code`, `date` ...).
    fn is_primitive(&self, type_name: &str) -> bool;

    /// True when `type_name` is `ancestor` or specialises it, at any distance.
    fn is_a(&self, type_name: &str, ancestor: &str) -> bool {
        let mut at = Some(type_name);
        while let Some(name) = at {
            if name == ancestor {
                return true;
            }
            at = self.base(name);
        }
        false
    }
}
