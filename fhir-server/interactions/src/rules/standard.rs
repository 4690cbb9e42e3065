//! The rules that a server has of its own.

use super::{ReferentialIntegrityRule, Rules, SearchParameterRule, WriteRule};

impl Rules {
    /// The server's own. `integrity`: references lead somewhere ([`ReferentialIntegrityRule`]).
    pub fn standard(integrity: bool) -> Rules {
        let mut rules: Vec<Box<dyn WriteRule>> = vec![Box::new(SearchParameterRule)];
        if integrity {
            rules.push(Box::new(ReferentialIntegrityRule));
        }
        Rules::new(rules)
    }
}
