//! From a parsed FHIRPath expression to paths.

use fhir_model::fhirpath::{Expr, Function, Literal, Op, TypeOp, parse};
use fhir_model::{Error, Result};

use crate::path::{Step, Test};

/// A search expression as paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The branches of the union, each from the resource.
    pub branches: Vec<Branch>,
    /// `x.exists() and x != false`: true when there is a value other than false, false otherwise.
    pub truth: bool,
}

/// Root of a branch that begins at `%resource`.
pub const RESOURCE: &str = "%resource";

/// One branch: the type it starts at, and its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// `Patient`, `Resource`, `DomainResource`; `None` means any.
    pub root: Option<Box<str>>,
    /// What follows.
    pub steps: Vec<Step>,
}

/// Compiles the part of FHIRPath that search parameters use; an error names what is beyond it.
///
/// # Errors
///
/// When the text is not FHIRPath, or uses what search parameters may not.
pub fn compile(expression: &str) -> Result<Compiled> {
    let expr = parse(expression)?;
    if let Some(tested) = truth(&expr) {
        return Ok(Compiled { branches: vec![branch(tested)?], truth: true });
    }
    let mut branches = Vec::new();
    union(&expr, &mut branches)?;
    Ok(Compiled { branches, truth: false })
}

fn union(expr: &Expr, branches: &mut Vec<Branch>) -> Result<()> {
    match expr {
        Expr::Binary { op: Op::Union, left, right, .. } => {
            union(left, branches)?;
            union(right, branches)
        }
        other => {
            branches.push(branch(other)?);
            Ok(())
        }
    }
}

/// `x.exists() and x != false` gives `x`.
fn truth(expr: &Expr) -> Option<&Expr> {
    let Expr::Binary { op: Op::And, left, right, .. } = expr else { return None };
    let Expr::Call { on: Some(on), function: Function::Exists, args, .. } = &**left else { return None };
    let Expr::Binary { op: Op::NotEqual, right: literal, .. } = &**right else { return None };
    (args.is_empty() && **literal == Expr::Literal(Literal::Boolean(false))).then_some(on)
}

fn branch(expr: &Expr) -> Result<Branch> {
    let mut steps = Vec::new();
    let root = walk(expr, &mut steps)?;
    Ok(Branch { root, steps })
}

/// Appends the steps of an expression; gives the type it starts at.
fn walk(expr: &Expr, steps: &mut Vec<Step>) -> Result<Option<Box<str>>> {
    let beyond = || {
        let place = offset(expr).map(|at| format!(" at byte {at}")).unwrap_or_default();
        Error::not_supported(format!("the expression is beyond what search parameters may use{place}"))
    };
    match expr {
        // From the resource, wherever one is.
        Expr::Variable { name, .. } if **name == *"resource" => Ok(Some(RESOURCE.into())),
        Expr::Member { on: None, name, .. } => {
            if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                return Ok(Some(name.clone()));
            }
            steps.push(Step::Field(name.clone()));
            Ok(None)
        }
        Expr::Member { on: Some(on), name, .. } => {
            let root = walk(on, steps)?;
            steps.push(Step::Field(name.clone()));
            Ok(root)
        }
        Expr::Type { on: Some(on), op: TypeOp::As | TypeOp::OfType, name, .. } => {
            let root = walk(on, steps)?;
            steps.push(Step::OfType(type_name(&name.name)));
            Ok(root)
        }
        Expr::Indexer { of, index, .. } if **index == Expr::Literal(Literal::Integer(0)) => {
            let root = walk(of, steps)?;
            steps.push(Step::First);
            Ok(root)
        }
        Expr::Call { on, function, args, .. } => {
            let root = match on {
                Some(on) => walk(on, steps)?,
                None => None,
            };
            match (function, args.as_slice()) {
                (Function::Where, [test]) => steps.push(Step::Where(self::test(test).ok_or_else(beyond)?)),
                (Function::Extension, [Expr::Literal(Literal::String(url))]) => {
                    steps.push(Step::Field("extension".into()));
                    steps.push(Step::Where(Test::Child("url".into(), url.clone())));
                }
                _ => return Err(beyond()),
            }
            Ok(root)
        }
        _ => Err(beyond()),
    }
}

/// R4 writes `DateTime` for `dateTime` in one place.
fn type_name(name: &str) -> Box<str> {
    if name == "DateTime" { "dateTime".into() } else { name.into() }
}

/// Where an expression stands in the text, as far as that is known.
fn offset(expr: &Expr) -> Option<u32> {
    match expr {
        Expr::Member { at, .. }
        | Expr::Call { at, .. }
        | Expr::Type { at, .. }
        | Expr::Indexer { at, .. }
        | Expr::Sign { at, .. }
        | Expr::Binary { at, .. } => Some(*at),
        _ => None,
    }
}

fn test(expr: &Expr) -> Option<Test> {
    match expr {
        Expr::Binary { op: Op::Equal, left, right, .. } => match (&**left, &**right) {
            (Expr::Member { on: None, name, .. }, Expr::Literal(Literal::String(text))) => {
                Some(Test::Child(name.clone(), text.clone()))
            }
            _ => None,
        },
        Expr::Type { on: Some(on), op: TypeOp::Is, name, .. } => match &**on {
            Expr::Call { on: None, function: Function::Resolve, .. } => {
                Some(Test::Resolves(name.name.clone()))
            }
            _ => None,
        },
        Expr::Call { function, args, on, .. } => match (function.name(), args.as_slice(), on) {
            ("hasExtension", [Expr::Literal(Literal::String(url))], None) => {
                Some(Test::HasExtension(url.clone()))
            }
            ("exists", [], Some(inner)) => match &**inner {
                Expr::Call { on: None, function: Function::Extension, args, .. } => match args.as_slice() {
                    [Expr::Literal(Literal::String(url))] => Some(Test::HasExtension(url.clone())),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(expression: &str) -> String {
        let compiled = compile(expression).unwrap();
        let show = |b: &Branch| format!("{}{:?}", b.root.as_deref().unwrap_or("*"), b.steps);
        let text = compiled.branches.iter().map(show).collect::<Vec<_>>().join(" | ");
        if compiled.truth { format!("truth {text}") } else { text }
    }

    #[test]
    fn the_forms_that_r4_uses() {
        let rows = [
            ("Patient.name.given", r#"Patient[Field("name"), Field("given")]"#),
            ("id", r#"*[Field("id")]"#),
            ("(Observation.value as Quantity)", r#"Observation[Field("value"), OfType("Quantity")]"#),
            ("Goal.target.due.as(date)", r#"Goal[Field("target"), Field("due"), OfType("date")]"#),
            ("A.b | C.d", r#"A[Field("b")] | C[Field("d")]"#),
            (
                "Account.subject.where(resolve() is Patient)",
                r#"Account[Field("subject"), Where(Resolves("Patient"))]"#,
            ),
            (
                "Patient.telecom.where(system='phone')",
                r#"Patient[Field("telecom"), Where(Child("system", "phone"))]"#,
            ),
            ("Bundle.entry[0].resource", r#"Bundle[Field("entry"), First, Field("resource")]"#),
            (
                "Patient.deceased.exists() and Patient.deceased != false",
                r#"truth Patient[Field("deceased")]"#,
            ),
            (
                "X.extension('http://e').value",
                r#"X[Field("extension"), Where(Child("url", "http://e")), Field("value")]"#,
            ),
        ];
        for (expression, wanted) in rows {
            assert_eq!(steps(expression), wanted, "{expression}");
        }
        let beyond = compile("Patient.name.count()").unwrap_err();
        assert!(beyond.text.ends_with("at byte 13"), "{beyond}");
    }
}
