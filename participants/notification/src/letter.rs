//! From a notice to a message: templates, headers, encoding.
//!
//! A template is a text whose first line is `Subject: ...`, then an empty line, then the body.
//! Invariant: the same effect gives the same message, byte for byte, whenever it is rendered.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use amends_contract::{EffectId, Timestamp};
use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, header};
use minijinja::{Environment, UndefinedBehavior, context};

use crate::domain::{Notice, Occasion, clean, message_id};

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The sender's address is none.
    #[error("notification.smtp.from {0:?} is not a mail address, such as Shop <orders@shop.example>")]
    From(String),
    /// A template cannot be read.
    #[error("the mail template {path} cannot be read: {why}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        why: std::io::Error,
    },
    /// A template has no subject, is wrong, or uses a name that is not there.
    #[error("the mail template {name} is wrong: {why}")]
    Template {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
    /// The customer's address is none; nothing can be sent there, ever.
    #[error("not a mail address")]
    Address,
    /// The message cannot be put together.
    #[error("the message cannot be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// Writes the mails.
pub struct Letters {
    environment: Environment<'static>,
    from: Mailbox,
}

const SUBJECT: &str = "Subject:";

impl Letters {
    /// Reads the templates: those of the folder, and our own for those that are not there.
    ///
    /// # Errors
    /// [`LetterError`] names the template or the address that is wrong; each template is tried once.
    pub fn new(from: &str, folder: Option<&Path>) -> Result<Self, LetterError> {
        let from = from.parse().map_err(|_| LetterError::From(from.to_owned()))?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for occasion in Occasion::ALL {
            let source = match folder {
                Some(folder) => read(&folder.join(format!("{occasion}.txt")))?,
                None => None,
            };
            let source = source.unwrap_or_else(|| built_in(occasion).to_owned());
            environment.add_template_owned(occasion.as_str(), source).map_err(|error| {
                LetterError::Template { name: occasion.to_string(), why: error.to_string() }
            })?;
        }
        let letters = Self { environment, from };
        for occasion in Occasion::ALL {
            letters.render(occasion, &sample())?;
        }
        Ok(letters)
    }

    /// The domain of our Message-IDs: the sender's.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// The message of an effect.
    ///
    /// # Errors
    /// [`LetterError::Address`] when the customer's address is none; the others are faults of templates.
    pub fn write(
        &self,
        effect: &EffectId,
        occasion: Occasion,
        notice: &Notice,
        decided_at: Timestamp,
    ) -> Result<Message, LetterError> {
        if notice.to.contains(char::is_control) {
            return Err(LetterError::Address);
        }
        let to: lettre::Address = notice.to.parse().map_err(|_| LetterError::Address)?;
        let (subject, body) = self.render(occasion, notice)?;
        let since = Duration::from_millis(u64::try_from(decided_at.unix_ms()).unwrap_or(0));
        let message = Message::builder()
            .mailbox(header::From::from(Mailboxes::from(self.from.clone())))
            .mailbox(header::To::from(Mailboxes::from(Mailbox::new(None, to))))
            .subject(subject)
            .date(UNIX_EPOCH + since)
            .message_id(Some(message_id(effect, self.domain())))
            // RFC 3834: nobody's holiday notice shall answer this.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(header::MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(body)?;
        Ok(message)
    }

    /// Subject and body.
    fn render(&self, occasion: Occasion, notice: &Notice) -> Result<(String, String), LetterError> {
        let wrong = |why: String| LetterError::Template { name: occasion.to_string(), why };
        let lines: Vec<_> = notice
            .lines
            .iter()
            .map(|line| {
                let price = line.unit_price.map(|price| price.to_string());
                context! { sku => line.sku.as_str(), quantity => line.quantity, price => price }
            })
            .collect();
        let amount = notice.amount.map(|amount| amount.to_string());
        let text = self
            .environment
            .get_template(occasion.as_str())
            .and_then(|template| {
                let (order, reason) = (notice.order.as_str(), notice.reason.as_str());
                template.render(context! { order, reason, lines, amount })
            })
            .map_err(|error| wrong(error.to_string()))?;
        let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
        let subject = subject
            .strip_prefix(SUBJECT)
            .ok_or_else(|| wrong(format!("its first line is not {SUBJECT} ..")))?;
        Ok((clean(subject), body.trim_start_matches(['\r', '\n']).to_owned()))
    }
}

const fn built_in(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Confirmation => include_str!("../templates/confirmation.txt"),
        Occasion::Rejection => include_str!("../templates/rejection.txt"),
        Occasion::Return => include_str!("../templates/return.txt"),
        Occasion::ReturnRefusal => include_str!("../templates/return-refusal.txt"),
        Occasion::Approval => include_str!("../templates/approval.txt"),
    }
}

fn read(path: &Path) -> Result<Option<String>, LetterError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(LetterError::Unreadable { path: path.display().to_string(), why }),
    }
}

fn sample() -> Notice {
    let (to, order) = (String::new(), "1".to_owned());
    Notice { to, order, lines: Vec::new(), reason: "sample".to_owned(), amount: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FROM: &str = "Shop <orders@shop.example>";

    fn effect() -> EffectId {
        "0193f6a0-0000-7000-8000-000000000001/send-confirmation/do/1".parse().unwrap()
    }

    fn message(occasion: Occasion, data: &serde_json::Value) -> Result<String, LetterError> {
        let notice = Notice::from_data(data).unwrap();
        let at = "2026-11-21T08:02:49.123Z".parse().unwrap();
        let message = Letters::new(FROM, None).unwrap().write(&effect(), occasion, &notice, at)?;
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_confirmation_lists_what_was_ordered() {
        let data = json!({ "to": "ann@example.org", "order": "o-1", "lines": [
            { "sku": "tea", "quantity": 2, "unit_price": { "amount": 450, "currency": "EUR" } },
            { "sku": "pot", "quantity": 1 },
        ]});
        let expected = "From: Shop <orders@shop.example>\r
To: ann@example.org\r
Subject: Your order o-1 is confirmed\r
Date: Sat, 21 Nov 2026 08:02:49 +0000\r
Message-ID: <0193f6a0-0000-7000-8000-000000000001.send-confirmation.do.1@shop.example>\r
Auto-Submitted: auto-generated\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 7bit\r
\r
Thank you for your order.\r
\r
Order o-1\r
\r
  2 x tea, 4.50 EUR each\r
  1 x pot\r
\r
It is confirmed and on its way.";
        assert_eq!(message(Occasion::Confirmation, &data).unwrap(), expected);
    }

    #[test]
    fn a_rejection_says_why() {
        let data = json!({ "to": "ann@example.org", "order": "o-1", "reason": "out-of-stock" });
        let text = message(Occasion::Rejection, &data).unwrap();
        assert!(text.contains("Subject: Your order o-1 could not be fulfilled\r\n"), "{text}");
        assert!(text.contains("\r\nReason: out-of-stock\r\n"), "{text}");
    }

    #[test]
    fn a_return_says_what_comes_back_and_what_is_given_back() {
        let data = json!({
            "to": "ann@example.org", "order": "o-1", "lines": [{ "sku": "tea", "quantity": 2 }],
            "amount": { "amount": 900, "currency": "EUR" },
        });
        let text = message(Occasion::Return, &data).unwrap();
        assert!(text.contains("Subject: Your return of order o-1\r\n"), "{text}");
        assert!(text.contains("\r\n  2 x tea\r\n"), "{text}");
        assert!(text.contains("9.00 EUR"), "{text}");
        let data = json!({ "to": "ann@example.org", "order": "o-1", "reason": "more-than-sold" });
        let text = message(Occasion::ReturnRefusal, &data).unwrap();
        assert!(text.contains("\r\nReason: more-than-sold\r\n"), "{text}");
    }

    #[test]
    fn an_approver_is_told_what_it_is_about() {
        let data = json!({
            "to": "cfo@example.org", "order": "o-1", "lines": [{ "sku": "tea", "quantity": 2 }],
            "amount": { "amount": 100_000, "currency": "EUR" },
        });
        let text = message(Occasion::Approval, &data).unwrap();
        assert!(text.contains("Subject: Order o-1 waits for your approval\r\n"), "{text}");
        assert!(text.contains("1000.00 EUR"), "{text}");
    }

    #[test]
    fn nothing_from_outside_becomes_a_header() {
        let data = json!({
            "to": "ann@example.org", "order": "1\r\nBcc: all@example.org", "reason": "x\r\n.\r\nMAIL FROM:<>",
        });
        let text = message(Occasion::Rejection, &data).unwrap();
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("MAIL")), "{text}");
    }

    #[test]
    fn an_address_that_is_none_is_told_apart() {
        for to in [
            "",
            "ann",
            "ann@",
            "a b@example.org",
            "ann@example.org, bob@example.org",
            "<ann@example.org>",
            "ann@example.org\r\nBcc: bob@example.org",
            "ann\0@example.org",
        ] {
            let data = json!({ "to": to, "order": "1" });
            assert!(matches!(message(Occasion::Rejection, &data), Err(LetterError::Address)), "{to}");
        }
    }

    #[test]
    fn words_beyond_ascii_are_encoded() {
        let data = json!({ "to": "ann@example.org", "order": "Grün", "reason": "größer als erlaubt" });
        let text = message(Occasion::Rejection, &data).unwrap();
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("Subject: Your order =?utf-8?"), "{text}");
    }

    #[test]
    fn a_folder_wins_over_our_own_and_its_faults_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("rejection.txt"), text).unwrap();
        let letters = || Letters::new(FROM, Some(folder.path()));
        write("Subject: No {{ order }}\n\nno");
        let (subject, body) = letters().unwrap().render(Occasion::Rejection, &sample()).unwrap();
        assert_eq!((subject.as_str(), body.as_str()), ("No 1", "no"));
        for wrong in ["No subject", "Subject: {{ ordre }}\n\nx", "Subject: {{ order\n\nx"] {
            write(wrong);
            let error = letters().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("template rejection is wrong"), "{error}");
        }
    }
}
