//! From what was sent to [`Parameters`]: names, types and cardinality are checked here, for all operations.
//!
//! <https://hl7.org/fhir/R4/operations.html#request>

use fhir_model::error::{ISSUES_MAX, Issue};
use fhir_model::json::{Doc, JsonLimits, Ref};
use fhir_model::types::Types;
use fhir_model::{Error, Kind, Result};

use super::definition::{Definition, ParameterDefinition, ParameterType};
use super::parameters::{Argument, Parameters, Value};
use super::value::value_of;
use crate::check::{check, type_of};
use crate::request::{Body, FORMAT_PARAMETERS};

/// What was sent with a call.
pub(super) struct Sent<'a> {
    /// The decoded query.
    pub(super) pairs: &'a [(String, String)],
    pub(super) body: Option<&'a Body>,
    /// `Prefer: handling=strict`
    pub(super) strict: bool,
    pub(super) types: &'a dyn Types,
}

impl Sent<'_> {
    /// Reads and checks the parameters of the url, then those of the body.
    ///
    /// # Errors
    ///
    /// All of status 400, with an issue for each parameter that is wrong: its value is not of its type, a url cannot hold
    /// it, it is there too often, it is missing (`MissingParameter`), or, under strict handling, it is not known.
    /// `Invalid` when the body is neither a Parameters resource nor the one resource that the operation takes.
    pub(super) fn read(&self, definition: &Definition) -> Result<Parameters> {
        let mut reader = Reader {
            sent: self,
            code: &definition.code,
            issues: Vec::new(),
            warnings: Vec::new(),
            unread: Vec::new(),
        };
        let mut read = Parameters::default();
        let inputs = &definition.inputs;
        reader.pairs(inputs, self.pairs, &mut read);
        match self.body {
            None => {}
            Some(Body::Resource(doc)) if is_parameters(doc) => {
                reader.list(inputs, doc.root(), ("Parameters", "parameter"), &mut read);
            }
            Some(Body::Resource(doc)) => reader.bare(inputs, doc, &mut read)?,
            Some(Body::Form(_) | Body::JsonPatch(_)) => return Err(no_parameters()),
        }
        reader.cardinality(inputs, &read, "");
        match Error::from_issues(reader.issues) {
            Some(error) => Err(error),
            None => Ok(Parameters { warnings: reader.warnings, ..read }),
        }
    }
}

fn is_parameters(doc: &Doc) -> bool {
    doc.root().get_str("resourceType").as_deref() == Some("Parameters")
}

fn no_parameters() -> Error {
    Error::invalid("the body of an operation is a Parameters resource")
}

struct Reader<'a> {
    sent: &'a Sent<'a>,
    code: &'a str,
    /// What refuses the call.
    issues: Vec<Issue>,
    /// What is ignored.
    warnings: Vec<Issue>,
    /// Names of parameters whose values could not be read.
    unread: Vec<Box<str>>,
}

impl Reader<'_> {
    /// One thing more that refuses the call; more than a client is told are not kept.
    fn refuse(&mut self, issue: Issue) {
        if self.issues.len() <= ISSUES_MAX {
            self.issues.push(issue);
        }
    }

    /// Those of a url.
    fn pairs(&mut self, known: &[ParameterDefinition], pairs: &[(String, String)], read: &mut Parameters) {
        for (name, text) in pairs.iter().filter(|(name, _)| !FORMAT_PARAMETERS.contains(&name.as_str())) {
            let Some(parameter) = known.iter().find(|known| *known.name == **name) else {
                self.unknown(name, name);
                continue;
            };
            let ParameterType::Primitive(primitive) = parameter.of else {
                let why = format!("`{name}` is no simple value: send it in a Parameters resource");
                self.unread.push(parameter.name.clone());
                self.refuse(Issue::error(Kind::Invalid, why).at(name));
                continue;
            };
            match primitive.parse(text) {
                Some(value) => read.arguments.push(Argument {
                    name: parameter.name.clone(),
                    at: name.clone(),
                    text: Some(text.clone()),
                    value,
                }),
                None => {
                    let why = format!("`{name}` is {}, not `{text}`", primitive.expected());
                    self.unread.push(parameter.name.clone());
                    self.refuse(Issue::error(Kind::Value, why).at(name));
                }
            }
        }
    }

    /// Those of a Parameters resource, or the parts of one of its parameters.
    fn list(
        &mut self,
        known: &[ParameterDefinition],
        holder: Ref<'_>,
        (path, member): (&str, &str),
        read: &mut Parameters,
    ) {
        for (at, sent) in holder.get(member).into_iter().flat_map(Ref::items).enumerate() {
            let at = format!("{path}.{member}[{at}]");
            let Some(name) = sent.get_str("name") else {
                self.refuse(Issue::error(Kind::Structure, "a parameter has a name").at(at));
                continue;
            };
            match known.iter().find(|known| *known.name == *name) {
                None if FORMAT_PARAMETERS.contains(&&*name) => {}
                None => self.unknown(&name, &at),
                Some(parameter) => match self.value(parameter, sent, &at) {
                    Ok((text, value)) => {
                        read.arguments.push(Argument { name: parameter.name.clone(), at, text, value });
                    }
                    Err(error) => {
                        if self.issues.len() <= ISSUES_MAX {
                            self.unread.push(parameter.name.clone());
                        }
                        error.into_issues().into_iter().for_each(|issue| self.refuse(issue));
                    }
                },
            }
        }
    }

    /// The value of one parameter, and its text where it is primitive.
    fn value(
        &mut self,
        parameter: &ParameterDefinition,
        sent: Ref<'_>,
        at: &str,
    ) -> Result<(Option<String>, Value)> {
        let name = &parameter.name;
        let wrong = |what: &str| Error::value(format!("`{name}` is {what}")).at(at);
        match &parameter.of {
            ParameterType::Primitive(primitive) => {
                let found = value_of(sent).and_then(|(_, value)| primitive.read(value));
                let (text, value) = found.ok_or_else(|| wrong(primitive.expected()))?;
                Ok((Some(text), value))
            }
            ParameterType::Element(of) => {
                let types = self.sent.types;
                let fits = |sent: &str| types.is_a(sent, of) || types.is_a(of, sent);
                let found = value_of(sent).filter(|(sent, value)| fits(sent) && value.is_object());
                let (_, value) = found.ok_or_else(|| wrong(&format!("of the type {of}")))?;
                Ok((None, Value::Element(copy(value)?)))
            }
            ParameterType::Resource(of) => {
                let resource =
                    sent.get("resource").ok_or_else(|| wrong(&format!("a resource of the type {of}")))?;
                // It leads there from the parameter: `Patient.name` is `Parameters.parameter[0].resource.name`.
                let below = |path: String| {
                    let below = path.find(['.', '[']).and_then(|first| path.get(first..));
                    format!("{at}.resource{}", below.unwrap_or_default())
                };
                self.resource(resource, of).map_err(|error| {
                    error.map_issues(|mut issue| {
                        issue.expression = issue.expression.into_iter().map(below).collect();
                        issue
                    })
                })
            }
            ParameterType::Parts(parts) => {
                let mut read = Parameters::default();
                self.list(parts, sent, (at, "part"), &mut read);
                self.cardinality(parts, &read, at);
                Ok((None, Value::Parts(read)))
            }
        }
    }

    /// A resource that FHIR's form allows, of a type.
    fn resource(&self, resource: Ref<'_>, of: &str) -> Result<(Option<String>, Value)> {
        let types = self.sent.types;
        let own = type_of(resource, types, || of.to_owned())?;
        if of != "Resource" && *own != *of {
            let text = format!("the resource is a {own}, but the operation takes a {of}");
            return Err(Error::invalid(text).at(format!("{own}.resourceType")));
        }
        check(resource, &own, types)?;
        Ok((None, Value::Resource(copy(resource)?)))
    }

    /// A body that is the only resource which the operation takes, itself.
    fn bare(&mut self, known: &[ParameterDefinition], doc: &Doc, read: &mut Parameters) -> Result<()> {
        let mut resources = known.iter().filter_map(|parameter| match &parameter.of {
            ParameterType::Resource(of) => Some((&parameter.name, of)),
            _ => None,
        });
        let (Some((name, of)), None) = (resources.next(), resources.next()) else {
            return Err(no_parameters());
        };
        let (text, value) = self.resource(doc.root(), of)?;
        read.arguments.push(Argument { name: name.clone(), at: name.to_string(), text, value });
        Ok(())
    }

    fn unknown(&mut self, name: &str, at: &str) {
        let why = format!("`{name}` is not a parameter of ${}", self.code);
        match self.sent.strict {
            true => self.refuse(Issue::error(Kind::Invalid, format!("{why} (strict handling)")).at(at)),
            false if self.warnings.len() > ISSUES_MAX => {}
            false => {
                let ignored = format!("{why}; it was ignored");
                self.warnings.push(Issue::warning(Kind::NotSupported, ignored));
            }
        }
    }

    /// Each is there as often as it may and must be. `path`: of the parameter whose parts they are.
    fn cardinality(&mut self, known: &[ParameterDefinition], read: &Parameters, path: &str) {
        for ParameterDefinition { name, min, max, .. } in known {
            let mut there = read.arguments.iter().filter(|argument| argument.name == *name);
            if let Some(surplus) = there.clone().nth(*max) {
                let why = format!("`{name}` is there more than {}", times(*max));
                self.refuse(Issue::error(Kind::Invalid, why).at(&surplus.at));
            }
            // A value that cannot be read is not missing: it was complained of.
            let complete = *min == 0 || there.nth(*min - 1).is_some();
            if !complete && !self.unread.contains(name) {
                let why = match min {
                    1 => format!("`{name}` is missing"),
                    _ => format!("`{name}` is there less than {}", times(*min)),
                };
                let at = if path.is_empty() { name } else { path };
                self.refuse(Issue::error(Kind::MissingParameter, why).at(at));
            }
        }
    }
}

fn times(n: usize) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

/// A value of its own. What it was sent in is bounded already.
fn copy(value: Ref<'_>) -> Result<Doc> {
    Ok(Doc::parse(value.to_json(), JsonLimits::NONE)?)
}
