//! A JSON object, written while its XML is read.
//!
//! What was read is kept as text, never as a tree: a body of many tiny elements then takes a few times its own length,
//! not dozens of times.

/// An object being read.
#[derive(Default)]
pub(super) struct Object {
    members: Vec<Member>,
}

/// What stands under `key`, and what under `_key`, as JSON.
pub(super) struct Value {
    pub(super) value: Option<String>,
    pub(super) extra: Option<String>,
}

/// A key with the values found so far.
struct Member {
    key: String,
    many: bool,
    count: usize,
    values: List,
    extras: List,
}

/// Texts with commas between them.
#[derive(Default)]
struct List {
    text: String,
    count: usize,
}

impl Object {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many values a key has so far.
    pub(super) fn count(&self, key: &str) -> usize {
        self.place(key).and_then(|place| self.members.get(place)).map_or(0, |member| member.count)
    }

    /// One more value of a key, which repeats when it is `many`.
    pub(super) fn push(&mut self, key: &str, many: bool, value: Value) {
        match self.place(key).and_then(|place| self.members.get_mut(place)) {
            Some(member) => member.push(value),
            None => {
                let (values, extras) = (List::default(), List::default());
                let mut member = Member { key: key.to_owned(), many, count: 0, values, extras };
                member.push(value);
                self.members.push(member);
            }
        }
    }

    /// Equal keys mostly follow each other.
    fn place(&self, key: &str) -> Option<usize> {
        self.members.iter().rposition(|member| member.key == key)
    }

    /// The object as JSON, with `resourceType` first where it is a resource.
    pub(super) fn into_json(self, resource_type: Option<&str>) -> String {
        let bytes: usize = self.members.iter().map(Member::bytes).sum();
        let mut out = String::with_capacity(bytes + resource_type.map_or(0, |name| name.len() + 19) + 2);
        out.push('{');
        if let Some(name) = resource_type {
            out.push_str("\"resourceType\":");
            out.push_str(&quote(name));
        }
        for member in self.members {
            member.write(&mut out);
        }
        out.push('}');
        out
    }
}

impl Member {
    fn push(&mut self, value: Value) {
        if let Some(text) = value.value {
            self.values.put(self.count, text);
        }
        if let Some(text) = value.extra {
            self.extras.put(self.count, text);
        }
        self.count += 1;
    }

    /// At most so long as JSON.
    fn bytes(&self) -> usize {
        let missing = |list: &List| 5 * (self.count - list.count);
        let one = |list: &List| list.text.len() + missing(list) + self.key.len() + 7;
        one(&self.values) + one(&self.extras)
    }

    /// Writes the member, after a comma unless it is the first.
    fn write(self, out: &mut String) {
        for (prefix, mut list) in [("", self.values), ("_", self.extras)] {
            if list.count == 0 {
                continue;
            }
            list.fill(self.count);
            if !out.ends_with('{') {
                out.push(',');
            }
            // Keys are names out of the definitions: they need no escapes.
            out.push('"');
            out.push_str(prefix);
            out.push_str(&self.key);
            out.push_str("\":");
            if self.many {
                out.push('[');
            }
            out.push_str(&list.text);
            if self.many {
                out.push(']');
            }
        }
    }
}

impl List {
    /// Puts a text at a place; those before it that are not there are `null`.
    fn put(&mut self, place: usize, text: String) {
        self.fill(place);
        match self.count {
            0 => self.text = text,
            _ => {
                self.text.push(',');
                self.text.push_str(&text);
            }
        }
        self.count += 1;
    }

    fn fill(&mut self, count: usize) {
        while self.count < count {
            self.text.push_str(if self.count == 0 { "null" } else { ",null" });
            self.count += 1;
        }
    }
}

/// A JSON string.
pub(super) fn quote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    // Writing to memory does not fail, and what is written is text.
    let _ = serde_json::to_writer(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}
