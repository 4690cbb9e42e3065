//! Questions about the quantities of codes, which chance alone seldom puts together.

use fhir_search::registry::Registry;

use super::ask::{Question, escaped, term};
use super::corpus::{Corpus, One};
use super::matches::tokens;
use fhir_store::testing::Random;

const TYPE: &str = "Observation";

pub(super) fn question(random: &mut Random, corpus: &Corpus, registry: &Registry) -> Option<Question> {
    let this = registry.for_type(TYPE).unwrap();
    let [code, quantity] = ["code", "value-quantity"].map(|name| this.param(name).unwrap());
    let all_codes: Vec<String> =
        corpus.values(TYPE, code, true).iter().map(|values| first_code(values)).collect();
    let quantities = corpus.values(TYPE, quantity, true);
    let measured: Vec<usize> =
        (0..quantities.len()).filter(|i| !quantities[*i].is_empty() && !all_codes[*i].is_empty()).collect();
    let mut codes = Vec::new();
    for _ in 0..[1, 1, 1, 2, 3, 12][random.below(6)] {
        codes.push(all_codes[*random.pick(&measured)?].clone());
    }
    let value = |random: &mut Random| {
        let of = *random.pick(&measured)?;
        let value = random.pick(&quantities[of])?;
        Some(term(random, quantity, value)?.1)
    };
    let composite = *random.pick(&["code-value-quantity", "combo-code-value-quantity"])?;
    let mut pairs = match random.chance(25) {
        true => vec![(composite.to_owned(), format!("{}${}", codes[0], value(random)?))],
        false => vec![("code".to_owned(), codes.join(","))],
    };
    for _ in 0..random.below(3) {
        pairs.push(match random.below(6) {
            0 => ("value-quantity:missing".to_owned(), random.chance(50).to_string()),
            1 => ("combo-value-quantity".to_owned(), value(random)?),
            _ => ("value-quantity".to_owned(), value(random)?),
        });
    }
    if random.chance(70) {
        let direction = if random.chance(50) { "-" } else { "" };
        let further = random.pick(&["", "", ",date", ",-date,status", ",_id"])?;
        pairs.push(("_sort".to_owned(), format!("{direction}value-quantity{further}")));
    }
    Some(Question { type_name: TYPE.to_owned(), pairs, compartment: None })
}

/// `system|code` of the first coding that has both. Returns `None` when no coding has.
fn first_code(values: &[One]) -> String {
    let nodes = values.iter().filter_map(|value| match value {
        One::Node(node, kind) => Some(tokens(kind, *node)),
        One::Truth(_) => None,
    });
    let both = nodes.flatten().find_map(|(system, code)| Some((system??, code?)));
    both.map_or(String::new(), |(system, code)| format!("{}|{}", escaped(&system), escaped(&code)))
}
