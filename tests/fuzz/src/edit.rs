//! A good text, edited: most mistakes are one slip away from what is right.

use bolero::TypeGenerator;

use crate::Text;

/// Longest text that edits make, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// Most changes, less one: with more, nothing of the text is right any more.
const EDITS_MAX: u8 = 6;

/// One change of a text. Places are fractions of its length, so that they fit any.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Edit {
    /// Something is missing.
    Remove {
        /// Where it stood.
        at: u16,
        /// How many bytes.
        count: u8,
    },
    /// Something is there twice.
    Repeat {
        /// Where it begins.
        from: u16,
        /// How many bytes.
        count: u8,
        /// Where it stands again.
        to: u16,
    },
    /// Something else stands in its place.
    Replace {
        /// Where.
        at: u16,
        /// How many bytes of the old.
        count: u8,
        /// The new.
        with: Text,
    },
    /// A sign of the language stands where it should not.
    Sign {
        /// Where.
        at: u16,
        /// Which.
        sign: u8,
    },
    /// The rest is missing.
    Cut {
        /// From where on.
        at: u16,
    },
}

/// The signs of JSON, YAML, TOML and CEL.
const SIGNS: &[u8] = b"{}[]()\",:'-\n\t #=.&*!|>%@`\\?+0e~<;";

/// One of several texts, edited.
#[derive(Clone, Debug, TypeGenerator)]
pub struct Edited {
    seed: u8,
    few: u8,
    edits: Vec<Edit>,
}

impl Edited {
    /// Which of `count` texts is edited.
    #[must_use]
    pub fn of(&self, count: usize) -> usize {
        usize::from(self.seed) % count.max(1)
    }

    /// The edited bytes of a text.
    #[must_use]
    pub fn bytes(&self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        let count = usize::from(self.few % EDITS_MAX);
        for edit in self.edits.iter().take(count) {
            apply(edit, &mut bytes);
            bytes.truncate(BYTES_MAX.max(text.len()));
        }
        bytes
    }

    /// The edited text; what is not UTF-8 any more is replaced.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text)).into_owned()
    }
}

fn apply(edit: &Edit, bytes: &mut Vec<u8>) {
    let place = |at: u16, length: usize| usize::from(at) * length / usize::from(u16::MAX);
    let length = bytes.len();
    let range = |at: u16, count: u8| {
        let start = place(at, length);
        start..(start + usize::from(count)).min(length)
    };
    match edit {
        Edit::Remove { at, count } => drop(bytes.drain(range(*at, *count))),
        Edit::Repeat { from, count, to } => {
            let part = bytes[range(*from, *count)].to_vec();
            let to = place(*to, length);
            bytes.splice(to..to, part);
        }
        Edit::Replace { at, count, with } => drop(bytes.splice(range(*at, *count), with.get().into_bytes())),
        Edit::Sign { at, sign } => bytes.insert(place(*at, length), SIGNS[usize::from(*sign) % SIGNS.len()]),
        Edit::Cut { at } => bytes.truncate(place(*at, length)),
    }
}

#[test]
fn edits_fit_any_text() {
    let all = |at: u16| {
        vec![
            Edit::Remove { at, count: u8::MAX },
            Edit::Repeat { from: at, count: u8::MAX, to: at },
            Edit::Replace { at, count: 1, with: Text::Hostile(4) },
            Edit::Sign { at, sign: u8::MAX },
            Edit::Cut { at },
        ]
    };
    for text in ["", "a", "ä", crate::HOSTILE[4]] {
        for at in [0, 1, u16::MAX / 2, u16::MAX] {
            for edit in all(at) {
                let edited = Edited { seed: 0, few: 1, edits: vec![edit.clone()] };
                assert!(
                    edited.bytes(text).len() <= text.len() * 2 + crate::HOSTILE[4].len(),
                    "{edit:?} of {text:?}"
                );
            }
        }
    }
}
