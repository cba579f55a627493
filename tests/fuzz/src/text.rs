//! Texts that somebody sends who means harm, or knows no better.

use bolero::TypeGenerator;

/// One text for each way in which a text was ever taken for something else.
pub const HOSTILE: [&str; 44] = [
    "",
    " ",
    "'",
    "\"",
    "'; DROP TABLE sagas;--",
    "' OR '1'='1",
    "1); DELETE FROM journal WHERE (1=1",
    "$1",
    "?1",
    ":name",
    "%",
    "_",
    "100%_off\\",
    "\\",
    "\0",
    "a\0b",
    "\n",
    "\r\n",
    "a\r\nBcc: everybody@example.com",
    "a\r\n\r\nanother body",
    "a\n{\"level\":\"ERROR\",\"message\":\"forged\"}",
    "a\r\nX-Injected: yes",
    ">",
    "*",
    "amends.cmd.inventory.>",
    "a.b.c",
    " a . b ",
    "{{template}}",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "${HOME}",
    "=input.secret",
    "=steps['x'].y",
    "<script>alert(1)</script>",
    "&amp;&lt;",
    "../../etc/passwd",
    "%2e%2e%2f",
    "\u{202e}txt.exe",
    "\u{feff}bom",
    "e\u{301}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{10ffff}\u{fffe}",
    "\u{85}\u{2028}\u{2029}",
    "\u{1b}[31mred\u{7}",
];

/// A text: one of [`HOSTILE`], a repeated one, anything, or two of them together.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Text {
    /// One of [`HOSTILE`].
    Hostile(u8),
    /// Any characters.
    Any(Vec<char>),
    /// Many of one, now and then very many.
    Long(char, u8),
    /// What looks like one of our own words.
    Plain(u32),
    /// One behind the other.
    Both(Box<Text>, Box<Text>),
}

impl Text {
    /// The text.
    #[must_use]
    pub fn get(&self) -> String {
        match self {
            Self::Hostile(index) => HOSTILE[usize::from(*index) % HOSTILE.len()].to_owned(),
            Self::Any(characters) => characters.iter().collect(),
            Self::Long(character, count @ 250..) => character.to_string().repeat(usize::from(*count) * 100),
            Self::Long(character, count) => character.to_string().repeat(usize::from(*count)),
            Self::Plain(number) => format!("x-{number}"),
            Self::Both(one, other) => one.get() + &other.get(),
        }
    }
}
