//! The names of tables and indexes, as migrations make them.

use crate::migration::Migration;

/// The names of all tables and indexes that migrations make.
pub(crate) fn made(migrations: &[Migration]) -> impl Iterator<Item = String> {
    let names = SchemaNames::from_migrations(migrations, i64::MAX);
    names.tables.into_iter().chain(names.indexes)
}

/// Names of what the migrations make.
#[derive(Debug, Default)]
pub(crate) struct SchemaNames {
    pub(crate) tables: Vec<String>,
    pub(crate) indexes: Vec<String>,
}

impl SchemaNames {
    /// Reads the names out of the migrations up to one, so that no second list can disagree with them.
    pub(crate) fn from_migrations(migrations: &[Migration], until: i64) -> SchemaNames {
        let mut names = SchemaNames::default();
        let lines = migrations.iter().filter(|migration| migration.version <= until);
        for line in lines.flat_map(|migration| migration.sql.lines()) {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let mut words = line.split(|c| !is_part(c)).filter(|word| !word.is_empty());
            let mut word = || words.find(|word| !PASSED_OVER.contains(word));
            let (Some(verb), Some(kind), Some(name)) = (word(), word(), word()) else { continue };
            // What is indented or commented is no statement's beginning.
            if !line.starts_with(verb) {
                continue;
            }
            match (verb, kind) {
                ("create", "table") => names.tables.push(name.to_owned()),
                ("create", "index") => names.indexes.push(name.to_owned()),
                ("drop", "table") => names.tables.retain(|table| table != name),
                ("drop", "index") => names.indexes.retain(|index| index != name),
                _ => {}
            }
        }
        names
    }
}

/// Words that may stand between `create` and a name.
const PASSED_OVER: [&str; 7] = ["unique", "unlogged", "if", "not", "exists", "concurrently", "only"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::Migrations;

    #[test]
    fn names_are_read_out_of_the_migrations() {
        const RESOURCE: &str = include_str!("../../../migrations/0001_resource.sql");
        const PARAMETER: &str = include_str!("../../../migrations/0004_search_parameter.sql");
        let migrations =
            Migrations::store(&[(1, "resource", RESOURCE), (4, "parameter", PARAMETER)], &[]).all();
        let all = SchemaNames::from_migrations(&migrations, i64::MAX);
        for table in
            ["resource", "ordered_entry", "string_entry", "setting", "writer", "search_parameter", "reindex"]
        {
            assert!(all.tables.iter().any(|name| name == table), "{table}: {:?}", all.tables);
        }
        assert!(all.indexes.iter().any(|name| name == "resource_keys"), "{:?}", all.indexes);
        let first = SchemaNames::from_migrations(&migrations, 1);
        assert!(!first.tables.iter().any(|name| name == "search_parameter"), "{:?}", first.tables);
    }
}
