//! "Did you mean": the known word that is nearest to a mistyped one.

/// The nearest of the known words, if it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the word may be wrong; a single slip always may.
    let distance_max = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["steps", "labels", "retention"];
        assert_eq!(nearest("setps", known), Some("steps"));
        assert_eq!(nearest("label", known), Some("labels"));
        assert_eq!(nearest("timeout", known), None);
    }
}
