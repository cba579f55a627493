//! Sends a mail, once as far as that can be had.
//!
//! Three things are told apart: the server took it, or refused it for good (definite); it certainly did
//! not take it (`failed`: the saga asks again); nobody knows (`uncertain`, and never sent again by itself,
//! unless the setting says so). Invariant: whoever finds a mail `sending` does not send it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amends_contract::{Command, Outcome};
use amends_participant::{CallOutcome, External, HandlerError, Intent, Prepared, Work};
use async_trait::async_trait;
use lettre::Message;
use metrics::counter;
use serde_json::{Value, json};

use crate::OnUncertain;
use crate::domain::{Delivery, Notice, Occasion, message_id};
use crate::entity::mail::Status;
use crate::ledger::Ledger;
use crate::letter::{LetterError, Letters};
use crate::smtp::{Handover, Smtp};
use crate::store::{self, NewMail};

pub(crate) struct SendMail {
    pub(crate) occasion: Occasion,
    pub(crate) letters: Arc<Letters>,
    pub(crate) smtp: Arc<Smtp>,
    pub(crate) ledger: Ledger,
    pub(crate) on_uncertain: OnUncertain,
}

/// Whether we may send a mail that was possibly sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    Again,
}

#[async_trait]
impl External for SendMail {
    async fn prepare(&self, work: &mut Work<'_>, command: &Command) -> Result<Prepared, HandlerError> {
        let notice = Notice::from_data(&command.data).map_err(HandlerError::Data)?;
        let reason = match self.letters.write(&command.effect, self.occasion, &notice, command.decided_at) {
            Ok(_) => None,
            Err(LetterError::Address) => Some("it is not a mail address"),
            // A template that the operator has to mend; the mail waits for that.
            Err(error) => {
                let (code, detail) = ("template".to_owned(), error.to_string());
                return Err(HandlerError::Transient { code, detail, retry_after_ms: None });
            }
        };
        let message_id = message_id(&command.effect, self.letters.domain());
        let mail = NewMail {
            effect: &command.effect,
            occasion: self.occasion,
            notice: &notice,
            message_id: &message_id,
            status: if reason.is_some() { Status::Undeliverable } else { Status::Queued },
            reason,
        };
        store::insert(work.db(), mail, work.now()).await?;
        if reason.is_some() {
            self.count(Delivery::Undeliverable);
            return Ok(Prepared::Final(Delivery::Undeliverable.outcome(&message_id, reason)));
        }
        // The command is kept with the intent; it says all.
        Ok(Prepared::Call(Value::Null))
    }

    async fn call(&self, intent: &Intent) -> CallOutcome {
        self.send(intent, Turn::First).await
    }

    async fn recover(&self, intent: &Intent) -> CallOutcome {
        match self.ledger.status(&intent.effect).await {
            Ok(Some(Status::Queued)) => self.send(intent, Turn::First).await,
            Ok(Some(Status::Sending)) => match self.on_uncertain {
                OnUncertain::Report => {
                    self.definite(intent, Delivery::Uncertain, Some("found while sending"))
                }
                OnUncertain::Resend => self.send(intent, Turn::Again).await,
            },
            // Settled by another process between its claim and ours, or not ours to know.
            Ok(_) => unknown("mail-settled"),
            Err(error) => {
                tracing::warn!(%error, effect = %intent.effect, "the state of a mail cannot be read");
                unknown("database")
            }
        }
    }

    async fn record(
        &self,
        work: &mut Work<'_>,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<(), HandlerError> {
        let (status, reason) = match outcome {
            Outcome::Succeeded { output } => {
                let (delivery, reason) = Delivery::of(output)
                    .ok_or_else(|| HandlerError::Internal(format!("no delivery in {output}")))?;
                self.count(delivery);
                (Status::from(delivery), reason)
            }
            Outcome::Failed { code, .. } => (Status::Queued, Some(code.as_str())),
            other => return Err(HandlerError::Internal(format!("a mail cannot be {}", other.name()))),
        };
        store::settle(work.db(), &intent.effect, status, reason, work.now()).await?;
        if status == Status::Sent {
            // Without the address: events go to whoever cares.
            let data = json!({
                "id": intent.effect,
                "saga": intent.effect.saga,
                "occasion": self.occasion,
                "order": intent.command.data["order"],
                "message_id": self.message_id(intent),
            });
            work.event("mail", "sent", data)?;
        }
        Ok(())
    }
}

impl SendMail {
    async fn send(&self, intent: &Intent, turn: Turn) -> CallOutcome {
        let message = match self.message(intent) {
            Ok(message) => message,
            Err(code) => return definitely_not(code),
        };
        let noted = AtomicBool::new(false);
        let before_end = async {
            if turn == Turn::First {
                match self.ledger.sending(&intent.effect).await {
                    Ok(true) => noted.store(true, Ordering::Relaxed),
                    Ok(false) => return Err(NOT_OURS),
                    Err(_) => return Err("database"),
                }
            }
            Ok(())
        };
        match self.smtp.send(message.envelope(), &message.formatted(), before_end).await {
            Handover::Accepted => self.definite(intent, Delivery::Sent, None),
            Handover::Refused { reason } => {
                self.definite(intent, Delivery::Undeliverable, Some(reason.as_str()))
            }
            // Somebody else is at it, or was: whoever recovers it will see.
            Handover::NotTaken { code: NOT_OURS, .. } => unknown(NOT_OURS),
            Handover::NotTaken { code, detail } => {
                tracing::info!(effect = %intent.effect, code, detail, "a mail was not taken; it will be tried again");
                // What cannot be taken back stays `sending`, and is in doubt: the safe side.
                let certain = !noted.into_inner() || self.ledger.taken_back(&intent.effect).await.is_ok();
                if certain { definitely_not(code) } else { unknown("database") }
            }
            Handover::Unknown { code } => match self.on_uncertain {
                OnUncertain::Report => self.definite(intent, Delivery::Uncertain, Some(code)),
                OnUncertain::Resend => unknown(code),
            },
        }
    }

    fn message(&self, intent: &Intent) -> Result<Message, &'static str> {
        let notice = Notice::from_data(&intent.command.data).map_err(|_| "unreadable-intent")?;
        let decided_at = intent.command.decided_at;
        self.letters.write(&intent.effect, self.occasion, &notice, decided_at).map_err(|error| {
            tracing::error!(%error, effect = %intent.effect, "a mail cannot be written");
            "template"
        })
    }

    fn message_id(&self, intent: &Intent) -> String {
        message_id(&intent.effect, self.letters.domain())
    }

    fn definite(&self, intent: &Intent, delivery: Delivery, reason: Option<&str>) -> CallOutcome {
        CallOutcome::Definite(delivery.outcome(&self.message_id(intent), reason))
    }

    fn count(&self, delivery: Delivery) {
        let (occasion, delivery) = (self.occasion.as_str(), delivery.as_str());
        counter!("amends_mails_total", "occasion" => occasion, "delivery" => delivery).increment(1);
    }
}

/// The mail is not `queued` any more: it is not ours to send.
const NOT_OURS: &str = "mail-not-queued";

/// This call did certainly nothing.
fn definitely_not(code: &str) -> CallOutcome {
    CallOutcome::Definite(Outcome::Failed { code: code.to_owned(), retry_after_ms: None })
}

fn unknown(code: &str) -> CallOutcome {
    CallOutcome::Unknown { code: code.to_owned(), retry_after_ms: None }
}
