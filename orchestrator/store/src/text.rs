//! Text from outside, as every database can store and index it.

/// Most characters of a text that is indexed: PostgreSQL's index takes 2,704 bytes.
const INDEXED_CHARS_MAX: usize = 200;

/// PostgreSQL cannot store U+0000 in a text; the replacement character stands for it.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The storable beginning of a text that is searched by. The whole text is in the saga's state.
pub(crate) fn indexed(text: &str) -> String {
    let end = text.char_indices().nth(INDEXED_CHARS_MAX).map_or(text.len(), |(end, _)| end);
    storable(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indexed_text_is_short_and_storable() {
        assert_eq!(indexed("a\0ü"), "a\u{fffd}ü");
        assert_eq!(indexed(&"ü".repeat(300)), "ü".repeat(200));
        assert_eq!(indexed(""), "");
    }
}
