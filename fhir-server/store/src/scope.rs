//! What a caller may see and change.

/// Made by a guard, asked for by every function of the store, and compiled into its SQL. A scope narrows, never
/// widens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    // One policy so far: everything. Policies become variants here and conditions in the SQL.
    private: (),
}

impl Scope {
    /// All resources, for reading and writing.
    pub fn everything() -> Scope {
        Scope { private: () }
    }
}
