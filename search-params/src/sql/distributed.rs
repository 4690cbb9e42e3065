//! A page where the rows are distributed over several nodes by their handle.
//!
//! Each node filters, orders and cuts its own rows, and the coordinator merges what they give: a page is one statement that
//! every node can run as it is. Nothing is gathered in a common table expression first, as all matches would go to the
//! coordinator and back, and no scan has a budget, as its rows would. Nodes plan a statement for its values, so that they
//! know from their statistics how common a token is.

use super::plan::Shape;
use super::rank::{is_found_by_entries, is_token, may_be_common};
use super::residual::{entries, push, push_driver};
use super::step::Step;
use super::{Bind, Sql};
use crate::condition::Condition;

impl Shape<'_> {
    pub(super) fn distributed(&self) -> Vec<Step> {
        match self.rarest() {
            // What may be as common as `status=final`: along the order or by its index, as the node's statistics say.
            rarest if rarest.is_none_or(|(rank, _)| may_be_common(rank)) => {
                self.for_spans(&|part| vec![part.scatter(None)])
            }
            // What is rare: never along the order.
            rarest => {
                let mut whole = self.clone();
                whole.sorted = self.sorted.hidden();
                vec![whole.scatter(rarest)]
            }
        }
    }

    /// The first matches of each node. `driver`: the part that finds them, with its rank.
    fn scatter(&self, driver: Option<(u8, usize)>) -> Step {
        let mut sql = Sql::default();
        self.select(&mut sql);
        sql.push(" from resource r where r.type_id = ").bind(Bind::Int(self.type_id));
        for (at, part) in self.parts.iter().enumerate() {
            if *part == Condition::All(Vec::new()) {
                continue;
            }
            sql.push(" and ");
            match driver.filter(|(_, driver)| *driver == at) {
                Some((rank, _)) if is_found_by_entries(rank, part) => {
                    sql.push("r.handle in (");
                    entries(part, &mut sql);
                    sql.push(")");
                }
                Some(_) => push_driver(part, &mut sql),
                None if is_token(part) => push_driver(part, &mut sql),
                None => push(part, &mut sql),
            }
        }
        self.tail(&mut sql);
        Self::done("distributed", sql)
    }
}
