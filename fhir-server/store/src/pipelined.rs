//! The statements that are pipelined on shared connections, each by its position in their list (`open.rs` makes it).

/// A read by id.
pub(crate) const READ: usize = 0;
/// The claim of a conditional write.
pub(crate) const CLAIM: usize = 1;
/// A process announces itself.
pub(crate) const ANNOUNCE: usize = 2;
/// A process says how far it is.
pub(crate) const PUBLISH: usize = 3;
/// How far all processes are.
pub(crate) const LOOK: usize = 4;
/// How many there are.
pub(crate) const COUNT: usize = 5;
