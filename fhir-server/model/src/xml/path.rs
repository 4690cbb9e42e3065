//! Where in the resource we are, for error messages.

use std::fmt;

/// A FHIRPath location: a list from the leaf to the root, living on the stack of the walk.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    name: &'p str,
    index: Option<usize>,
}

impl<'p> Path<'p> {
    pub(super) fn root(name: &'p str) -> Path<'p> {
        Path { parent: None, name, index: None }
    }

    pub(super) fn child(&'p self, name: &'p str, index: Option<usize>) -> Path<'p> {
        Path { parent: Some(self), name, index }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}
