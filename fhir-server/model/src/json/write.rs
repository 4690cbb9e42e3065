//! Writing: the compact text of a tree, with some of its values replaced.

use super::{Kind, Ref};

/// Replacements of values while writing: what the server owns (`id`, `meta`) and resolved references.
///
/// Edits are few, so they are short sorted lists, not a second tree.
#[derive(Debug, Default, Clone)]
pub struct Edits {
    /// (index of the value, its new JSON text), by index.
    replace: Vec<(u32, String)>,
    /// (index of the object, text of the members to put first), by index.
    insert: Vec<(u32, String)>,
    /// Indexes of members left out, sorted.
    drop: Vec<u32>,
}

impl Edits {
    /// Writes `json` (already JSON text) in place of the value.
    pub fn replace(&mut self, value: Ref<'_>, json: impl Into<String>) {
        put(&mut self.replace, value.index(), json.into());
    }

    /// Writes `members` (such as `"id":"1","meta":{}`) before the members of `object`, after its `resourceType`.
    pub fn insert(&mut self, object: Ref<'_>, members: impl Into<String>) {
        put(&mut self.insert, object.index(), members.into());
    }

    /// Leaves the member or item out.
    pub fn drop(&mut self, member: Ref<'_>) {
        if let Err(place) = self.drop.binary_search(&member.index()) {
            self.drop.insert(place, member.index());
        }
    }

    /// True when nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.replace.is_empty() && self.insert.is_empty() && self.drop.is_empty()
    }

    fn dropped(&self, value: Ref<'_>) -> bool {
        !self.drop.is_empty() && self.drop.binary_search(&value.index()).is_ok()
    }
}

fn put(list: &mut Vec<(u32, String)>, index: u32, text: String) {
    match list.binary_search_by_key(&index, |(i, _)| *i) {
        Ok(place) => {
            if let Some(slot) = list.get_mut(place) {
                slot.1 = text;
            }
        }
        Err(place) => list.insert(place, (index, text)),
    }
}

fn find(list: &[(u32, String)], index: u32) -> Option<&str> {
    if list.is_empty() {
        return None;
    }
    let place = list.binary_search_by_key(&index, |(i, _)| *i).ok()?;
    list.get(place).map(|(_, text)| text.as_str())
}

impl Ref<'_> {
    /// The value as compact JSON: no white space, `resourceType` first in every object that has one, otherwise in
    /// the order it was sent.
    pub fn to_json(self) -> String {
        let mut out = String::with_capacity(self.raw().len());
        self.write(&Edits::default(), &mut out);
        out
    }

    /// Writes the value as compact JSON with `edits` applied.
    pub fn write(self, edits: &Edits, out: &mut String) {
        if let Some(text) = find(&edits.replace, self.index()) {
            out.push_str(text);
            return;
        }
        match self.kind() {
            Kind::Array => {
                out.push('[');
                let start = out.len();
                for item in self.children().filter(|c| !edits.dropped(*c)) {
                    comma(start, out);
                    item.write(edits, out);
                }
                out.push(']');
            }
            Kind::Object => self.write_object(edits, out),
            _ => out.push_str(self.raw()),
        }
    }

    fn write_object(self, edits: &Edits, out: &mut String) {
        out.push('{');
        let start = out.len();
        let head = self.get("resourceType").filter(|h| !edits.dropped(*h));
        if let Some(head) = head {
            head.write_member(edits, out);
        }
        if let Some(members) = find(&edits.insert, self.index()) {
            comma(start, out);
            out.push_str(members);
        }
        for member in self.children() {
            if Some(member) != head && !edits.dropped(member) {
                comma(start, out);
                member.write_member(edits, out);
            }
        }
        out.push('}');
    }

    fn write_member(self, edits: &Edits, out: &mut String) {
        out.push('"');
        out.push_str(self.slice(self.node().key));
        out.push_str("\":");
        self.write(edits, out);
    }
}

/// A comma, unless nothing was written since `start`.
fn comma(start: usize, out: &mut String) {
    if out.len() > start {
        out.push(',');
    }
}
