//! Events: what happened, for whoever cares. Readers recognise one they have seen by its `id`.

use std::fmt;

use crate::attributes::Attributes;
use crate::envelope::parse;
use crate::{DecodeError, DefinitionRef, Envelope, Json, SagaId, Stream, Timestamp, Token};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Derived from what caused it (a saga and its journal's sequence, or an effect), so that publishing
    /// again repeats it.
    pub id: String,
    /// Who says so.
    pub source: Token,
    /// What it happened to, such as `order`.
    pub entity: Token,
    /// What happened, a past participle such as `created`.
    pub name: Token,
    /// When.
    pub at: Timestamp,
    /// The saga behind it, if any.
    pub saga: Option<(SagaId, DefinitionRef)>,
    /// The payload.
    pub data: Json,
}

impl Event {
    /// `event.<entity>.<name>`
    #[must_use]
    pub fn message_type(&self) -> String {
        format!("{}.{}.{}", Stream::Event.token(), self.entity, self.name)
    }

    /// The envelope.
    #[must_use]
    pub fn to_envelope(&self) -> Envelope {
        self.attributes(|attributes| attributes.to_envelope())
    }

    /// The bytes for the wire: those of the envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.attributes(|attributes| attributes.encode())
    }

    fn attributes<R>(&self, write: impl FnOnce(&Attributes<'_>) -> R) -> R {
        let Self { id, source, entity, name, at, saga, data } = self;
        let message_type = format_args!("{}.{entity}.{name}", Stream::Event.token());
        let saga = saga.as_ref();
        write(&Attributes {
            sagaid: saga.map(|(id, _)| id as &dyn fmt::Display),
            sagadefinition: saga.map(|(_, definition)| definition as &dyn fmt::Display),
            ..Attributes::new(id, source, &message_type, *at, data)
        })
    }

    /// Reads an event out of an envelope.
    ///
    /// # Errors
    /// [`DecodeError`] names the attribute that is missing or wrong.
    pub fn from_envelope(envelope: Envelope) -> Result<Self, DecodeError> {
        let mut parts = envelope.message_type.split('.');
        let (entity, name) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(entity), Some(name), None) if kind == Stream::Event.token() => {
                (parse(entity, "type")?, parse(name, "type")?)
            }
            _ => {
                let why = "it is not event.<entity>.<past-participle>".to_owned();
                return Err(DecodeError::Invalid { name: "type", why });
            }
        };
        let saga = match (&envelope.sagaid, &envelope.sagadefinition) {
            (Some(id), Some(definition)) => {
                Some((parse(id, "sagaid")?, parse(definition, "sagadefinition")?))
            }
            _ => None,
        };
        Ok(Self {
            source: parse(&envelope.source, "source")?,
            id: envelope.id,
            entity,
            name,
            at: envelope.time,
            saga,
            data: envelope.data,
        })
    }
}
