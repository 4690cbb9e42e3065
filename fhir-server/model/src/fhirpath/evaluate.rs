//! From an expression and a focus to a collection.

use std::cell::{Cell, RefCell};
use std::fmt;

use super::ast::{Expr, Literal, TypeName, TypeOp};
use super::context::Context;
use super::item::{Item, Quantity, Value};
use super::navigate::ElementLookup;

/// Items in their order.
pub(super) type Items<'a> = Vec<Item<'a>>;

/// Why an expression has no value here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalError {
    /// Byte offset in the expression of what failed.
    pub at: u32,
    /// What is wrong.
    pub text: String,
    /// True when the evaluation was stopped because it took too many steps.
    pub too_costly: bool,
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FHIRPath at byte {}: {}", self.at, self.text)
    }
}

impl std::error::Error for EvalError {}

impl From<EvalError> for crate::Error {
    fn from(e: EvalError) -> crate::Error {
        let kind = if e.too_costly { crate::Kind::TooCostly } else { crate::Kind::Invalid };
        crate::Error::new(kind, e.to_string())
    }
}

/// The value of an expression on an input.
///
/// # Errors
///
/// When an operator or function gets operands that it does not take, or when the evaluation exceeds `cx.steps_max`.
pub fn evaluate<'a>(expr: &Expr, input: Item<'a>, cx: &Context<'a>) -> Result<Vec<Item<'a>>, EvalError> {
    let evaluation = Evaluation { cx, steps: Cell::new(cx.steps_max), defined: RefCell::new(Vec::new()) };
    let input = [input];
    evaluation.eval(expr, Scope { this: &input, index: None, total: None, input: &input })
}

/// What a collection means as a condition: nothing for an empty one, true for a single item that is no Boolean.
///
/// # Errors
///
/// When there are several items.
pub fn to_bool(items: &[Item<'_>], cx: &Context<'_>) -> Result<Option<bool>, EvalError> {
    match items {
        [] => Ok(None),
        [single] => Ok(Some(match single.value(cx.types) {
            Some(Value::Boolean(value)) => value,
            _ => true,
        })),
        _ => Err(error(0, "several items cannot be one condition")),
    }
}

/// One run over one input.
pub(super) struct Evaluation<'c, 'a> {
    pub(super) cx: &'c Context<'a>,
    steps: Cell<u64>,
    /// What `defineVariable()` defined, innermost last.
    pub(super) defined: RefCell<Vec<(String, Items<'a>)>>,
}

/// What `$this`, `$index`, `$total` and `%context` mean at a place.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    pub(super) this: &'s [Item<'a>],
    pub(super) index: Option<usize>,
    pub(super) total: Option<&'s [Item<'a>]>,
    pub(super) input: &'s [Item<'a>],
}

impl<'s, 'a> Scope<'s, 'a> {
    /// The scope within a function that looks at one item after the other.
    pub(super) fn item(self, item: &'s Item<'a>, index: usize) -> Scope<'s, 'a> {
        Scope { this: std::slice::from_ref(item), index: Some(index), ..self }
    }
}

impl<'a> Evaluation<'_, 'a> {
    /// Takes `n` steps off the budget.
    pub(super) fn spend(&self, steps: usize, at: u32) -> Result<(), EvalError> {
        match self.steps.get().checked_sub(steps as u64) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(EvalError {
                at,
                text: "the evaluation takes more steps than are allowed".to_owned(),
                too_costly: true,
            }),
        }
    }

    pub(super) fn eval(&self, expr: &Expr, scope: Scope<'_, 'a>) -> Result<Items<'a>, EvalError> {
        self.spend(1, 0)?;
        match expr {
            Expr::Literal(literal) => Ok(literal_items(literal)),
            Expr::This => Ok(scope.this.to_vec()),
            Expr::Index => {
                Ok(scope.index.map(|index| Item::Value(Value::Integer(index as i64))).into_iter().collect())
            }
            Expr::Total => Ok(scope.total.unwrap_or_default().to_vec()),
            Expr::Variable { name, at } => self.variable(name, scope, *at),
            Expr::Member { on, name, at } => match on {
                Some(on) => {
                    self.check_member(on, name, *at)?;
                    self.members(&self.eval(on, scope)?, name, false, *at)
                }
                None => self.members(scope.this, name, true, *at),
            },
            Expr::Call { on, function, args, at } => match on {
                Some(on) => self.call(*function, self.eval(on, scope)?, args, scope, *at),
                None => self.call(*function, scope.this.to_vec(), args, scope, *at),
            },
            Expr::Type { on, op, name, at } => match on {
                Some(on) => self.filter_type(*op, self.eval(on, scope)?, name, *at),
                None => self.filter_type(*op, scope.this.to_vec(), name, *at),
            },
            Expr::Indexer { of, index, at } => {
                let items = self.eval(of, scope)?;
                let index = self.argument(index, scope)?;
                let wanted = self.integer(&index, *at)?.and_then(|index| usize::try_from(index).ok());
                Ok(wanted.and_then(|wanted| items.into_iter().nth(wanted)).into_iter().collect())
            }
            Expr::Sign { minus, of, at } => self.sign(*minus, self.eval(of, scope)?, *at),
            Expr::Binary { op, left, right, at } => self.binary(*op, left, right, scope, *at),
        }
    }

    /// An expression in its own right: variables it defines are not seen outside.
    pub(super) fn argument(&self, expr: &Expr, scope: Scope<'_, 'a>) -> Result<Items<'a>, EvalError> {
        let defined = self.defined.borrow().len();
        let found = self.eval(expr, scope);
        self.defined.borrow_mut().truncate(defined);
        found
    }

    /// An expression as a condition on one item.
    pub(super) fn condition(
        &self,
        expr: &Expr,
        scope: Scope<'_, 'a>,
        at: u32,
    ) -> Result<Option<bool>, EvalError> {
        self.boolean(&self.argument(expr, scope)?, at)
    }

    fn members(&self, items: &[Item<'a>], name: &str, start: bool, at: u32) -> Result<Items<'a>, EvalError> {
        self.spend(items.len(), at)?;
        let types = self.cx.types;
        // Elements start with a small letter and types of resources with a capital.
        let may_be_type = start && name.starts_with(|c: char| c.is_ascii_uppercase());
        let mut found = Vec::new();
        for item in items {
            match item {
                Item::Node(node) if may_be_type && types.is_a(&node.type_name, name) => {
                    found.push(item.clone())
                }
                Item::Node(node) => {
                    if node.child(types, name, &mut found) == ElementLookup::No && self.cx.strict {
                        return Err(error(at, format!("`{}` has no element `{name}`", node.type_name)));
                    }
                }
                Item::Value(value) => found.extend(part_of_value(value, name)),
            }
        }
        self.spend(found.len(), at)?;
        Ok(found)
    }

    /// When strict, an element of `x as T` must be one of `T`, whether or not `x` is there.
    fn check_member(&self, on: &Expr, name: &str, at: u32) -> Result<(), EvalError> {
        let Expr::Type { op: TypeOp::As | TypeOp::OfType, name: cast, .. } = on else { return Ok(()) };
        let types = self.cx.types;
        if self.cx.strict
            && !types.elements(&cast.name).is_empty()
            && types.element(&cast.name, name).is_none()
        {
            return Err(error(at, format!("`{cast}` has no element `{name}`")));
        }
        Ok(())
    }

    fn variable(&self, name: &str, scope: Scope<'_, 'a>, at: u32) -> Result<Items<'a>, EvalError> {
        if let Some((_, items)) = self.defined.borrow().iter().rev().find(|(defined, _)| defined == name) {
            return Ok(items.clone());
        }
        if let Some((_, items)) = self.cx.variables.iter().find(|(given, _)| **given == *name) {
            return Ok(items.clone());
        }
        let text = match name {
            "context" => return Ok(scope.input.to_vec()),
            "resource" => return Ok(vec![Item::resource(self.cx.resource)]),
            "rootResource" => return Ok(vec![Item::resource(self.cx.root)]),
            "ucum" => "http://unitsofmeasure.org".to_owned(),
            "sct" => "http://snomed.info/sct".to_owned(),
            "loinc" => "http://loinc.org".to_owned(),
            "us-zip" => "[0-9]{5}(-[0-9]{4}){0,1}".to_owned(),
            _ => match (name.strip_prefix("vs-"), name.strip_prefix("ext-")) {
                (Some(value_set), _) => format!("http://hl7.org/fhir/ValueSet/{value_set}"),
                (_, Some(extension)) => format!("http://hl7.org/fhir/StructureDefinition/{extension}"),
                _ => return Err(error(at, format!("`%{name}` is not known"))),
            },
        };
        Ok(vec![Item::text(text)])
    }

    fn filter_type(
        &self,
        op: TypeOp,
        mut items: Items<'a>,
        name: &TypeName,
        at: u32,
    ) -> Result<Items<'a>, EvalError> {
        self.spend(items.len(), at)?;
        if !self.cx.as_filters && !self.is_known(name) {
            return Err(error(at, format!("there is no type `{name}`")));
        }
        if op != TypeOp::OfType && items.len() > 1 && !(op == TypeOp::As && self.cx.as_filters) {
            return Err(error(at, "the type of several items is asked for; `ofType()` filters them"));
        }
        if op == TypeOp::Is {
            return Ok(items.first().map(|item| boolean(self.is(item, name))).into_iter().collect());
        }
        // A `code` is a `string`, yet `as(string)` does not find it: primitives are taken exactly.
        items.retain(|item| {
            let exact = item.as_node().is_none_or(|node| !self.cx.types.is_primitive(&node.type_name));
            self.is(item, name) && (exact || item.type_name() == &*name.name)
        });
        Ok(items)
    }

    /// Whether an item is of a type or of one that specialises it.
    pub(super) fn is(&self, item: &Item<'_>, name: &TypeName) -> bool {
        match (item, name.namespace.as_deref()) {
            (Item::Node(node), None | Some("FHIR")) => self.cx.types.is_a(&node.type_name, &name.name),
            (Item::Value(value), None | Some("System")) => value.type_name() == &*name.name,
            _ => false,
        }
    }

    fn is_known(&self, name: &TypeName) -> bool {
        const SYSTEM: [&str; 11] = [
            "Any", "Boolean", "String", "Integer", "Long", "Decimal", "Date", "DateTime", "Time", "Quantity",
            "TypeInfo",
        ];
        let types = self.cx.types;
        let system = name.namespace.as_deref() != Some("FHIR") && SYSTEM.contains(&&*name.name);
        let fhir = name.namespace.as_deref() != Some("System")
            && (types.is_primitive(&name.name)
                || types.is_resource(&name.name)
                || types.base(&name.name).is_some()
                || !types.elements(&name.name).is_empty());
        // `System.Patient` is no type, yet asking whether something is one has an answer.
        system || fhir || name.namespace.as_deref() == Some("System")
    }

    /// The only item. Returns `None` when the collection is empty, an error when it has several items.
    pub(super) fn single<'i>(
        &self,
        items: &'i [Item<'a>],
        at: u32,
    ) -> Result<Option<&'i Item<'a>>, EvalError> {
        match items {
            [] => Ok(None),
            [single] => Ok(Some(single)),
            _ => Err(error(at, format!("one item is needed here, not {}", items.len()))),
        }
    }

    /// The System value of the only item.
    pub(super) fn single_value(&self, items: &[Item<'a>], at: u32) -> Result<Option<Value<'a>>, EvalError> {
        let Some(item) = self.single(items, at)? else { return Ok(None) };
        match item.value(self.cx.types) {
            Some(value) => Ok(Some(value)),
            // A primitive without value is as good as nothing.
            None if item.json().is_none() => Ok(None),
            None => Err(error(at, format!("a {} is no single value", item.type_name()))),
        }
    }

    pub(super) fn boolean(&self, items: &[Item<'a>], at: u32) -> Result<Option<bool>, EvalError> {
        to_bool(items, self.cx).map_err(|e| EvalError { at, ..e })
    }

    pub(super) fn integer(&self, items: &[Item<'a>], at: u32) -> Result<Option<i64>, EvalError> {
        match self.single_value(items, at)? {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(value)),
            Some(other) => Err(error(at, format!("an Integer is needed here, not a {}", other.type_name()))),
        }
    }
}

pub(super) fn error(at: u32, text: impl Into<String>) -> EvalError {
    EvalError { at, text: text.into(), too_costly: false }
}

pub(super) fn boolean<'a>(value: bool) -> Item<'a> {
    Item::Value(Value::Boolean(value))
}

fn literal_items<'a>(literal: &Literal) -> Items<'a> {
    let value = match literal {
        Literal::Empty => return Vec::new(),
        Literal::Boolean(value) => Value::Boolean(*value),
        Literal::String(text) => Value::String(text.to_string().into()),
        Literal::Integer(value) => Value::Integer(*value),
        Literal::Decimal(value) => Value::Decimal(value.clone()),
        Literal::Date(value) => Value::Date(*value),
        Literal::DateTime(value) => Value::DateTime(*value),
        Literal::Time(value) => Value::Time(*value),
        Literal::Quantity(value, unit) => {
            Value::Quantity(Box::new(Quantity { value: value.clone(), unit: unit.clone() }))
        }
    };
    vec![Item::Value(value)]
}

/// What little structure computed values have.
fn part_of_value<'a>(value: &Value<'a>, name: &str) -> Option<Item<'a>> {
    match (value, name) {
        (Value::Type { namespace, .. }, "namespace") => Some(Item::text(*namespace)),
        (Value::Type { name, .. }, "name") => Some(Item::Value(Value::String(name.clone()))),
        (Value::Quantity(quantity), "value") => Some(Item::Value(Value::Decimal(quantity.value.clone()))),
        (Value::Quantity(quantity), "unit" | "code") => Some(Item::text(match &quantity.unit {
            super::ast::Unit::Ucum(code) => code.to_string(),
            super::ast::Unit::Calendar(word) => word.word().to_owned(),
        })),
        _ => None,
    }
}
