//! What a message says, on its way into an envelope or straight onto the wire.
//!
//! Most attributes are put together from parts. To write a message none of them has to become a string of its own.
//!
//! Invariant: what is written is what the envelope of the same attributes would write.

use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::envelope::{DATA_CONTENT_TYPE, SPEC_VERSION};
use crate::{Envelope, Json, Timestamp};

/// Room for the attributes of most messages, in bytes.
const USUAL_BYTES: usize = 512;

/// The attributes of a message, in the order of [`Envelope`].
#[derive(Serialize)]
pub(crate) struct Attributes<'a> {
    pub(crate) specversion: &'static str,
    #[serde(serialize_with = "text")]
    pub(crate) id: &'a dyn Display,
    pub(crate) source: &'a str,
    #[serde(rename = "type", serialize_with = "text")]
    pub(crate) message_type: &'a dyn Display,
    pub(crate) time: Timestamp,
    pub(crate) datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) sagaid: Option<&'a dyn Display>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) sagastep: Option<&'a dyn Display>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) sagadefinition: Option<&'a dyn Display>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) effectid: Option<&'a dyn Display>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) sendno: Option<&'a dyn Display>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) undoes: Option<&'a dyn Display>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) causeseq: Option<&'a dyn Display>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional")]
    pub(crate) causedelivery: Option<&'a dyn Display>,
    pub(crate) data: &'a Json,
}

impl<'a> Attributes<'a> {
    /// Without extensions.
    pub(crate) fn new(
        id: &'a dyn Display,
        source: &'a str,
        message_type: &'a dyn Display,
        time: Timestamp,
        data: &'a Json,
    ) -> Self {
        Self {
            specversion: SPEC_VERSION,
            id,
            source,
            message_type,
            time,
            datacontenttype: DATA_CONTENT_TYPE,
            sagaid: None,
            sagastep: None,
            sagadefinition: None,
            effectid: None,
            sendno: None,
            undoes: None,
            causeseq: None,
            causedelivery: None,
            data,
        }
    }

    /// The bytes for the wire.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES + self.data.text().len());
        serde_json::to_writer(&mut bytes, self)
            .unwrap_or_else(|_| unreachable!("texts and JSON values always encode"));
        bytes
    }

    pub(crate) fn to_envelope(&self) -> Envelope {
        let own = |text: Option<&dyn Display>| text.map(ToString::to_string);
        Envelope {
            specversion: self.specversion.to_owned(),
            id: self.id.to_string(),
            source: self.source.to_owned(),
            message_type: self.message_type.to_string(),
            time: self.time,
            datacontenttype: Some(self.datacontenttype.to_owned()),
            sagaid: own(self.sagaid),
            sagastep: own(self.sagastep),
            sagadefinition: own(self.sagadefinition),
            effectid: own(self.effectid),
            sendno: own(self.sendno),
            undoes: own(self.undoes),
            causeseq: own(self.causeseq),
            causedelivery: own(self.causedelivery),
            data: self.data.clone(),
        }
    }
}

fn text<S: Serializer>(text: &dyn Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}

fn optional<S: Serializer>(value: &Option<&dyn Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
