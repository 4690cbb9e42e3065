//! From tokens to statements.

use std::rc::Rc;

use super::query::{Block, Cte, Query, Relation, Source, is_query};
use super::token::{Token, tokens};

/// The statement of a text.
pub(crate) fn parse(sql: &str) -> Query {
    query(&tokens(sql), &[])
}

fn query(tokens: &[Token], outer: &[Rc<Cte>]) -> Query {
    let mut known = outer.to_vec();
    let (ctes, tokens) = ctes(tokens, &mut known);
    let mut whole = Query { ctes, ..Query::default() };
    let is_between = |token: &Token| matches!(token.word(), Some("union" | "intersect" | "except"));
    let first = tokens.first().and_then(Token::word);
    let arms: Vec<&[Token]> = match first {
        // Those of an insert are its own.
        Some("insert") => vec![tokens],
        _ => tokens.split(is_between).collect(),
    };
    for arm in &arms {
        let arm = arm.strip_prefix(&[Token::Word("all".to_owned())]).unwrap_or(arm);
        match arm {
            [Token::Group(inner), rest @ ..] => {
                let Query { ctes, blocks, has_limit } = query(inner, &known);
                whole.ctes.extend(ctes);
                whole.has_limit |= has_limit && arms.len() == 1;
                let is_one = blocks.len() == 1;
                let blocks = blocks.into_iter();
                whole
                    .blocks
                    .extend(blocks.map(|b| Block { has_limit: b.has_limit || has_limit && is_one, ..b }));
                // What follows the last arm is of all.
                whole.has_limit |= clauses(rest, false).iter().any(|(name, _)| is_limit(name));
            }
            _ => whole.blocks.push(block(arm, &known)),
        }
    }
    if let ([_, .., last], Some(block)) = (arms.as_slice(), whole.blocks.last_mut())
        && !matches!(last.first(), Some(Token::Group(_)))
        && !last.get(1).is_some_and(|token| matches!(token, Token::Group(_)) && last[0].is("all"))
    {
        whole.has_limit |= std::mem::take(&mut block.has_limit);
    }
    whole.has_limit |= arms.len() == 1 && whole.blocks.iter().any(|block| block.has_limit);
    whole
}

/// `with a as (..), b as materialized (..)`, and what follows it.
fn ctes<'t>(tokens: &'t [Token], known: &mut Vec<Rc<Cte>>) -> (Vec<Rc<Cte>>, &'t [Token]) {
    let mut found = Vec::new();
    let [first, rest @ ..] = tokens else { return (found, tokens) };
    if !first.is("with") {
        return (found, tokens);
    }
    let mut rest = rest;
    while let Some(at) = rest.iter().position(|token| matches!(token, Token::Group(inner) if is_query(inner)))
    {
        let (head, tail) = rest.split_at(at);
        let name = head.iter().filter_map(Token::word).find(|word| *word != "recursive").unwrap_or_default();
        let query = query(tail[0].inner(), known);
        let is_kept =
            head.iter().any(|token| token.is("materialized")) && !head.iter().any(|token| token.is("not"));
        // What writes or locks is done once.
        let is_done_once = query.blocks.iter().any(|block| block.target.is_some() || !block.locks.is_empty());
        let cte = Rc::new(Cte { name: name.to_owned(), is_materialized: is_kept || is_done_once, query });
        known.push(cte.clone());
        found.push(cte);
        rest = &tail[1..];
        match rest.first() {
            Some(token) if token.is_sign(",") => rest = &rest[1..],
            _ => break,
        }
    }
    (found, rest)
}

fn is_limit(clause: &str) -> bool {
    matches!(clause, "limit" | "offset" | "fetch")
}

/// The clauses of a block by their first words. `deletes`: `using` is one.
fn clauses(tokens: &[Token], deletes: bool) -> Vec<(&str, &[Token])> {
    let mut starts = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).and_then(Token::word);
        let before = at.checked_sub(1).and_then(|before| tokens[before].word());
        let starts_here = match token.word().unwrap_or_default() {
            "select" | "where" | "having" | "limit" | "offset" | "fetch" | "returning" | "values" | "set" => {
                true
            }
            // `is distinct from`
            "from" => before != Some("distinct"),
            "group" | "order" => next == Some("by"),
            "for" => matches!(next, Some("update" | "no" | "share" | "key")),
            "on" => next == Some("conflict"),
            "using" => deletes,
            _ => false,
        };
        if starts_here {
            starts.push(at);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([tokens.len()]);
    let each = starts.iter().zip(ends);
    each.map(|(start, end)| (tokens[*start].word().unwrap_or_default(), &tokens[start + 1..end])).collect()
}

fn block(tokens: &[Token], known: &[Rc<Cte>]) -> Block {
    let mut reader = Reader { block: Block::default(), known };
    match tokens.first().and_then(Token::word) {
        Some("insert") => reader.insert(tokens),
        Some("update") => reader.write(&tokens[1..], false),
        Some("delete") => reader.write(tokens.get(2..).unwrap_or_default(), true),
        _ => reader.clauses(clauses(tokens, false)),
    }
    reader.block
}

struct Reader<'k> {
    block: Block,
    known: &'k [Rc<Cte>],
}

impl Reader<'_> {
    fn insert(&mut self, tokens: &[Token]) {
        let all = clauses(tokens, false);
        // From `on conflict` or `returning` on, it is no more of what is inserted.
        let is_after = |name: &str| matches!(name, "on" | "returning");
        let end = all.iter().position(|(name, _)| is_after(name)).unwrap_or(all.len());
        let after: usize = all[end..].iter().map(|(_, tokens)| tokens.len() + 1).sum();
        let (head, _) = tokens.split_at(tokens.len() - after);
        let start = head.iter().position(|token| {
            matches!(token.word(), Some("select" | "with" | "values"))
                || matches!(token, Token::Group(inner) if is_query(inner))
        });
        let start = start.unwrap_or(head.len());
        self.block.source = Some(Box::new(query(&head[start..], self.known)));
        let is_column_list = |token: &Token| matches!(token, Token::Group(_));
        let name = head[..start].split(is_column_list).next().unwrap_or_default();
        self.block.target = Some(self.relation(name.get(2..).unwrap_or_default(), false));
        let mut is_conflict = false;
        for (name, tokens) in &all[end..] {
            is_conflict |= *name == "on";
            match *name {
                "where" if is_conflict => self.block.conflict_conditions.push(tokens.to_vec()),
                "set" => self.block.assignments.push(tokens.to_vec()),
                _ => {}
            }
            self.expression(tokens);
        }
    }

    fn write(&mut self, tokens: &[Token], deletes: bool) {
        let all = clauses(tokens, deletes);
        let head: usize = all.iter().map(|(_, tokens)| tokens.len() + 1).sum();
        self.block.target = Some(self.relation(&tokens[..tokens.len() - head], false));
        self.clauses(all);
    }

    fn clauses(&mut self, all: Vec<(&str, &[Token])>) {
        for (name, tokens) in all {
            match name {
                "from" | "using" => {
                    self.from(tokens);
                    continue;
                }
                "where" => self.block.conditions.push(tokens.to_vec()),
                "set" => self.block.assignments.push(tokens.to_vec()),
                "for" => {
                    let of =
                        tokens.iter().skip_while(|token| !token.is("of")).skip(1).filter_map(Token::word);
                    let of = of.filter(|word| !matches!(*word, "skip" | "locked" | "nowait"));
                    self.block.locks.push(of.map(str::to_owned).collect());
                }
                name => self.block.has_limit |= is_limit(name),
            }
            self.expression(tokens);
        }
    }

    fn expression(&mut self, tokens: &[Token]) {
        self.block.expressions.push(tokens.to_vec());
        self.nested(tokens);
    }

    fn nested(&mut self, tokens: &[Token]) {
        for token in tokens {
            match token {
                Token::Group(inner) if is_query(inner) => self.block.nested.push(query(inner, self.known)),
                other => self.nested(other.inner()),
            }
        }
    }

    /// `a, b join c on .. left join lateral (..) d on ..`
    fn from(&mut self, tokens: &[Token]) {
        const JOINS: [&str; 8] = ["natural", "inner", "left", "right", "full", "cross", "outer", "join"];
        let is_join =
            |token: &Token| token.is_sign(",") || token.word().is_some_and(|word| JOINS.contains(&word));
        for part in tokens.split(is_join).filter(|part| !part.is_empty()) {
            let on = part.iter().position(|token| token.is("on") || token.is("using")).unwrap_or(part.len());
            let (relation, condition) = part.split_at(on);
            let is_lateral = relation.first().is_some_and(|token| token.is("lateral"));
            let relation = &relation[usize::from(is_lateral)..];
            match relation {
                // A join in parentheses.
                [Token::Group(inner)] if !is_query(inner) => self.from(inner),
                _ => {
                    let relation = self.relation(relation, is_lateral);
                    self.block.from.push(relation);
                }
            }
            if let [_, condition @ ..] = condition {
                self.block.conditions.push(condition.to_vec());
                if !is_lateral {
                    self.block.join_conditions.push(condition.to_vec());
                }
                self.expression(condition);
            }
        }
    }

    /// `name as alias (columns)`, `name(arguments) alias`, `(select ..) alias`
    fn relation(&mut self, tokens: &[Token], is_lateral: bool) -> Relation {
        let tokens = tokens.strip_prefix(&[Token::Word("only".to_owned())]).unwrap_or(tokens);
        let (source, rest) = match tokens {
            [Token::Group(inner), rest @ ..] => (Source::Query(Box::new(query(inner, self.known))), rest),
            [Token::Word(name), Token::Group(arguments), rest @ ..] => {
                self.expression(arguments);
                (Source::Function(name.clone()), rest)
            }
            // Names of schemas and extensions do not matter.
            [Token::Word(_), dot, rest @ ..] if dot.is_sign(".") => return self.relation(rest, is_lateral),
            [Token::Word(name), rest @ ..] => {
                let cte = self.known.iter().rev().find(|cte| cte.name == *name);
                (cte.map_or_else(|| Source::Table(name.clone()), |cte| Source::Cte(cte.clone())), rest)
            }
            _ => (Source::Table(String::new()), tokens),
        };
        let own = match &source {
            Source::Table(name) | Source::Function(name) => name,
            Source::Cte(cte) => &cte.name,
            Source::Query(_) => "",
        };
        let is_alias = |word: &&str| !matches!(*word, "as" | "with" | "ordinality");
        let alias = rest.iter().map_while(Token::word).find(is_alias).unwrap_or(own).to_owned();
        Relation { source, alias, is_lateral }
    }
}
