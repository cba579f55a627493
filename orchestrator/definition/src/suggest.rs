//! "Did you mean": the known word that is nearest to a mistyped one.

/// What is longer than twice the longest name resembles none, and would take long to compare.
const WORD_LEN_MAX: usize = 128;

/// The nearest of the known words, if it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let len = word.chars().count();
    if len > WORD_LEN_MAX {
        return None;
    }
    // A third of the word may be wrong; a single slip always may.
    let distance_max = (len / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Words that other languages use for what ours say with another one.
const FOREIGN: [(&str, &str); 22] = [
    ("args", "with"),
    ("compensate", "undo"),
    ("compensation", "undo"),
    ("condition", "when"),
    ("data", "with"),
    ("depends_on", "after"),
    ("expires", "deadline"),
    ("id", "name"),
    ("if", "when"),
    ("inputs", "with"),
    ("loop", "for_each"),
    ("max_concurrency", "concurrency"),
    ("needs", "after"),
    ("on_event", "starts_on"),
    ("outputs", "output"),
    ("params", "with"),
    ("rollback", "undo"),
    ("signal", "await"),
    ("timeout", "deadline"),
    ("trigger", "starts_on"),
    ("type", "kind"),
    ("wait_for", "await"),
];

/// The known word that is meant by one of another language, or by a slip.
pub(crate) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let ours = FOREIGN.iter().find(|(foreign, _)| *foreign == word).map(|(_, ours)| *ours);
    let translated = ours.and_then(|ours| known.iter().copied().find(|known| *known == ours));
    translated.or_else(|| nearest(word, known.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::{FOREIGN, meant, nearest};

    #[test]
    fn words_of_other_languages_are_translated_where_ours_fits() {
        assert_eq!(meant("depends_on", &["after", "when"]), Some("after"));
        assert_eq!(meant("timeout", &["deadline", "retention"]), Some("deadline"));
        assert_eq!(meant("timeout", &["attempts", "initial"]), None);
        assert!(FOREIGN.is_sorted());
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["steps", "labels", "retention"];
        assert_eq!(nearest("setps", known), Some("steps"));
        assert_eq!(nearest("label", known), Some("labels"));
        assert_eq!(nearest("timeout", known), None);
    }
}
