//! Sends a dead letter to its subject again, once its cause is mended.
//!
//! Invariant: the body goes out byte for byte, or not at all; that it was asked for is committed before it is
//! sent, and what came of it afterwards.

use amends_broker::{Ack, Error as BrokerError, Outgoing};
use amends_contract::{
    BATCH_CONTENT_TYPE, CONTENT_TYPE, DeadLetter, Digest, Stream, decode_batch, header, is_batch,
};
use amends_store::{DeadLetterRow, Error};
use metrics::counter;

use super::Core;

/// Why a dead letter was not sent again.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// There is none with this number.
    #[error("there is no dead letter {0}")]
    NotFound(i64),
    /// It never can be.
    #[error("{0}")]
    Refused(String),
    /// Not now; it may be tried again.
    #[error("it was not sent: {0}")]
    NotSent(String),
    /// The database says no.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Core {
    /// Sends a dead letter to its subject again; returns it as it stands then.
    ///
    /// # Errors
    /// [`RedriveError`].
    pub async fn redrive(
        &self,
        number: i64,
        actor: String,
        reason: String,
    ) -> Result<DeadLetterRow, RedriveError> {
        let core = self.clone();
        // A task of its own: a caller who hangs up shall not leave it half done.
        let redriven = tokio::spawn(async move { core.redrive_now(number, &actor, &reason).await });
        redriven.await.unwrap_or_else(|error| Err(RedriveError::NotSent(error.to_string())))
    }

    async fn redrive_now(
        &self,
        number: i64,
        actor: &str,
        reason: &str,
    ) -> Result<DeadLetterRow, RedriveError> {
        let missing = || RedriveError::NotFound(number);
        let row = self.store.dead_letter(number).await?.ok_or_else(missing)?;
        let unreadable = |why| RedriveError::Refused(format!("its row cannot be read: {why}"));
        let message = self.message(&row.letter.map_err(unreadable)?).await?;
        let note = self.store.redrive_begins(number, actor, reason).await?;
        let sent = self.broker.publisher().publish(vec![message]).await.pop();
        let result = match sent {
            Some(Ok(stored)) => Ok(stored.seq),
            Some(Err(error)) if error.is_transient() => Err(RedriveError::NotSent(error.to_string())),
            Some(Err(error)) => Err(RedriveError::Refused(error.to_string())),
            None => Err(RedriveError::NotSent("the broker gave no answer".to_owned())),
        };
        let said = result.as_ref().map_err(ToString::to_string).copied();
        self.store.redrive_ended((number, note), said).await?;
        result?;
        counter!("amends_dead_letters_redriven_total").increment(1);
        self.store.dead_letter(number).await?.ok_or_else(missing)
    }

    /// The message as it was; without its message id, by which the broker would take it for a duplicate.
    async fn message(&self, letter: &DeadLetter) -> Result<Outgoing, RedriveError> {
        let message_type = self.broker.names().message_type(&letter.subject).unwrap_or_default();
        let kind = message_type.split('.').next().unwrap_or_default();
        if !Stream::ALL.iter().any(|stream| stream.token() == kind) {
            let why = format!("its subject {:?} belongs to none of our streams", letter.subject);
            return Err(RedriveError::Refused(why));
        }
        let body = self.body(letter).await?;
        if letter.element.is_some() && is_batch(&body) {
            let why = "it is a list within a batch: alone it would be read as a batch".to_owned();
            return Err(RedriveError::Refused(why));
        }
        let is_batch = letter.headers.get(header::CONTENT_TYPE).is_some_and(|it| it == BATCH_CONTENT_TYPE);
        Ok(Outgoing {
            subject: letter.subject.clone(),
            body: body.into(),
            message_id: None,
            content_type: if is_batch { BATCH_CONTENT_TYPE } else { CONTENT_TYPE },
            traceparent: letter.headers.get(header::TRACEPARENT).cloned(),
            ack: Ack::Own,
        })
    }

    /// All of the body: what the letter keeps of it, or the original where that was cut and still lies in its
    /// stream.
    async fn body(&self, letter: &DeadLetter) -> Result<Vec<u8>, RedriveError> {
        let kept = letter.body().map_err(|error| RedriveError::Refused(error.to_string()))?;
        let kept_bytes = kept.len();
        if kept_bytes == letter.body_bytes {
            return Ok(kept);
        }
        let names = self.broker.names();
        let stream = Stream::ALL.into_iter().find(|stream| names.stream(*stream) == letter.stream);
        let original = match stream {
            Some(stream) => self.broker.message(stream, letter.stream_seq).await,
            None => Ok(None),
        };
        match original.map(|original| part(&original?.body, letter.element)) {
            Ok(Some(body)) if Digest::of(&body) == letter.body_digest => Ok(body),
            Ok(_) => Err(RedriveError::Refused(format!(
                "only the first {kept_bytes} of its {} bytes were kept, and {} does not hold it under {} any more: \
                 let its sender send it again",
                letter.body_bytes, letter.stream, letter.stream_seq
            ))),
            Err(error @ BrokerError::Answer(_)) => Err(RedriveError::Refused(error.to_string())),
            Err(error) => Err(RedriveError::NotSent(error.to_string())),
        }
    }
}

/// All of a body, or this element of the batch that it is.
fn part(body: &[u8], element: Option<u32>) -> Option<Vec<u8>> {
    if element.is_none() {
        return Some(body.to_vec());
    }
    let elements = decode_batch(body).unwrap_or_default();
    let found = elements.into_iter().find(|decoded| decoded.part.element() == element)?;
    Some(found.part.of(body).to_vec())
}
