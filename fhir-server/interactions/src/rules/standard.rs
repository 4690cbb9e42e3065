//! The rules that a server has of its own.

use super::{Definition, Integrity, Rules, WriteRule};

impl Rules {
    /// The server's own. `integrity`: references lead somewhere ([`Integrity`]).
    pub fn standard(integrity: bool) -> Rules {
        let mut rules: Vec<Box<dyn WriteRule>> = vec![Box::new(Definition)];
        if integrity {
            rules.push(Box::new(Integrity));
        }
        Rules::new(rules)
    }
}
