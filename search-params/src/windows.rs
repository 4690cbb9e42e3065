//! Long texts in pieces: a btree entry must fit a third of a page.

/// The longest stored window of a normalized text, in bytes.
pub(crate) const WINDOW_BYTES_MAX: usize = 1800;
/// How much of a window the next one repeats; a text that is asked for may be this long.
pub(crate) const CONTAINS_BYTES_MAX: usize = 400;

/// Cuts a normalized text into windows that overlap by [`CONTAINS_BYTES_MAX`]; nearly always one.
pub(crate) fn windows(text: &str) -> impl Iterator<Item = &str> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let rest = text.get(from..)?;
        if rest.len() <= WINDOW_BYTES_MAX {
            start = None;
            return Some(rest);
        }
        let end = text.floor_char_boundary(from + WINDOW_BYTES_MAX);
        start = Some(text.floor_char_boundary(end - CONTAINS_BYTES_MAX));
        text.get(from..end)
    })
}

/// As much of a text as can be asked for.
pub(crate) fn asked_part(text: &str) -> &str {
    text.get(..text.floor_char_boundary(CONTAINS_BYTES_MAX)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_and_cover() {
        let text = "añb".repeat(2000);
        let parts: Vec<_> = windows(&text).collect();
        assert!(parts.iter().all(|p| p.len() <= WINDOW_BYTES_MAX));
        for start in (0..text.len() - CONTAINS_BYTES_MAX).step_by(97) {
            let start = text.floor_char_boundary(start);
            let end = text.floor_char_boundary(start + CONTAINS_BYTES_MAX);
            let piece = &text[start..end];
            assert!(parts.iter().any(|p| p.contains(piece)), "{start}");
        }
        assert_eq!(windows("short").collect::<Vec<_>>(), ["short"]);
    }
}
