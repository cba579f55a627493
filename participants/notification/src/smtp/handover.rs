//! How far a message came, and what that allows. Pure.
//!
//! Invariant: [`Handover::Unknown`] is said only from the moment on when the end of the message may have
//! been written: a server takes no message without its end (RFC 5321, 4.1.1.4), so every earlier trouble
//! is known to have done nothing, and trying again cannot send twice.

use lettre::transport::smtp::response::Response;

/// How handing a message over ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The server took it.
    Accepted,
    /// The server refused the address or the message for good, and always will.
    Refused {
        /// What it said, shortened.
        reason: String,
    },
    /// Certainly not taken. Trying again is safe.
    NotTaken {
        /// Why, such as `smtp-unreachable`.
        code: &'static str,
        /// For the log and the list of mails; never the message.
        detail: String,
    },
    /// It was handed over, and no answer came that says what became of it.
    Unknown {
        /// Why, such as `smtp-timeout`.
        code: &'static str,
    },
}

/// What goes wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The server says no.
    #[error("{code} {text}")]
    Answer { code: u16, text: String },
    /// It says nothing in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke, or what came over it is not SMTP.
    #[error("{0}")]
    Broken(String),
}

impl From<lettre::transport::smtp::Error> for Trouble {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        match error.status() {
            Some(code) => {
                let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                Self::Answer { code: code.into(), text: shorten(&text) }
            }
            None => Self::Broken(shorten(&error.to_string())),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(shorten(&error.to_string()))
    }
}

/// Before there is a connection that one could talk on. Nobody's address is at fault here, whatever the
/// server says: it does not like us.
pub(super) fn before_connected(trouble: Trouble) -> Handover {
    let code = match trouble {
        Trouble::Answer { code, .. } if (530..540).contains(&code) => "smtp-login",
        Trouble::Answer { .. } => "smtp-refused",
        Trouble::Timeout | Trouble::Broken(_) => "smtp-unreachable",
    };
    Handover::NotTaken { code, detail: trouble.to_string() }
}

/// Before the end of the message: sender, recipient, DATA, the text itself.
pub(super) fn before_the_end(trouble: Trouble, about: About) -> Handover {
    let code = match trouble {
        Trouble::Answer { code, .. } if about == About::Mail && is_for_good(code) => {
            return Handover::Refused { reason: trouble.to_string() };
        }
        Trouble::Answer { .. } => "smtp-refused",
        Trouble::Timeout => "smtp-timeout",
        Trouble::Broken(_) => "smtp-connection",
    };
    Handover::NotTaken { code, detail: trouble.to_string() }
}

/// After its end.
pub(super) fn after_the_end(answer: Result<Response, Trouble>) -> Handover {
    match answer {
        Ok(response) if (200..300).contains(&u16::from(response.code())) => Handover::Accepted,
        Ok(_) => Handover::Unknown { code: "smtp-answer" },
        // A refusal is an answer: the server has not taken it.
        Err(trouble @ Trouble::Answer { .. }) => before_the_end(trouble, About::Mail),
        Err(Trouble::Timeout) => Handover::Unknown { code: "smtp-timeout" },
        Err(Trouble::Broken(_)) => Handover::Unknown { code: "smtp-connection" },
    }
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Us: the sender's address, the order of commands. An operator can mend that.
    Us,
    /// This mail: its recipient, its text.
    Mail,
}

/// Whether a refusal is one of the mail for ever, rather than of us: 500, 502 to 504 say that we speak
/// wrongly, 530 to 539 that we have to log in.
fn is_for_good(code: u16) -> bool {
    matches!(code, 501 | 505..=529 | 540..=599)
}

/// Longest text of the server that we keep, in characters.
const TEXT_CHARS_MAX: usize = 200;

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16) -> Trouble {
        Trouble::Answer { code, text: "no".to_owned() }
    }

    fn name(handover: &Handover) -> &'static str {
        match handover {
            Handover::Accepted => "accepted",
            Handover::Refused { .. } => "refused",
            Handover::NotTaken { code, .. } => code,
            Handover::Unknown { .. } => "unknown",
        }
    }

    #[test]
    fn only_the_mail_is_refused_for_good_never_we() {
        for (code, expected) in [
            (421, "smtp-refused"),
            (450, "smtp-refused"),
            (500, "smtp-refused"),
            (501, "refused"),
            (503, "smtp-refused"),
            (530, "smtp-refused"),
            (550, "refused"),
            (554, "refused"),
        ] {
            assert_eq!(name(&before_the_end(answer(code), About::Mail)), expected, "{code}");
            assert_eq!(name(&before_the_end(answer(code), About::Us)), "smtp-refused", "{code}");
            assert_eq!(name(&after_the_end(Err(answer(code)))), expected, "{code}");
        }
        assert_eq!(name(&before_connected(answer(554))), "smtp-refused");
        assert_eq!(name(&before_connected(answer(535))), "smtp-login");
    }

    #[test]
    fn silence_is_doubt_only_after_the_end() {
        let broken = || Trouble::Broken("reset".to_owned());
        assert_eq!(name(&before_connected(Trouble::Timeout)), "smtp-unreachable");
        assert_eq!(name(&before_connected(broken())), "smtp-unreachable");
        assert_eq!(name(&before_the_end(Trouble::Timeout, About::Mail)), "smtp-timeout");
        assert_eq!(name(&before_the_end(broken(), About::Mail)), "smtp-connection");
        assert_eq!(name(&after_the_end(Err(Trouble::Timeout))), "unknown");
        assert_eq!(name(&after_the_end(Err(broken()))), "unknown");
    }
}
