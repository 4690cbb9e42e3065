//! Where a node stands: `Patient.name[0].given[1]`, for error messages and for FHIRPath Patch.

use super::navigate::element_of_key;
use crate::json::Ref;
use crate::types::Types;

/// The nodes from the root down to a node of the same document, both included: objects, arrays and their items, as
/// JSON nests them. Nothing when the node is not below the root.
pub fn ancestors<'a>(root: Ref<'a>, node: Ref<'a>) -> Vec<Ref<'a>> {
    let mut path = vec![root];
    let mut at = root;
    while at != node {
        // Nodes are numbered in document order, so the way leads through the last child that is not behind it.
        match at.children().take_while(|child| child.index() <= node.index()).last() {
            Some(child) => {
                path.push(child);
                at = child;
            }
            None => return Vec::new(),
        }
    }
    path
}

/// The location of a node in FHIRPath's words: choices without their type, indexes for what may repeat.
pub fn location(root: Ref<'_>, node: Ref<'_>, types: &dyn Types) -> String {
    let resource_type = |json: Ref<'_>| json.get_str("resourceType").map(std::borrow::Cow::into_owned);
    let mut type_name = resource_type(root).unwrap_or_default();
    let mut text = type_name.clone();
    let mut in_array: Option<Ref<'_>> = None;
    for step in ancestors(root, node).into_iter().skip(1) {
        if let Some(array) = in_array.take() {
            let index = array.children().position(|item| item == step).unwrap_or(0);
            text.push_str(&format!("[{index}]"));
        } else {
            let key = step.key();
            let key = key.strip_prefix('_').unwrap_or(&key);
            let (name, next) = match element_of_key(types, &type_name, key) {
                Some((element, chosen)) => {
                    (&*element.name, chosen.or(element.types.first().map(|name| &**name)).unwrap_or(""))
                }
                None => (key, ""),
            };
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(name);
            type_name = next.to_owned();
        }
        if step.is_array() {
            in_array = Some(step);
        } else if let Some(found) = resource_type(step) {
            type_name = found;
        }
    }
    text
}
