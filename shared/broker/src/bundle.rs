//! Messages to one subject as one: a CloudEvents batch, by readers taken apart again.
//!
//! Invariant: in a bundle are only messages whose acknowledgement may be shared and which say everything in their
//! bodies, so that nothing of them is lost in it.

use std::{collections::HashMap, iter::once};

use amends_contract::{BATCH_CONTENT_TYPE, CONTENT_TYPE};
use bytes::Bytes;

use crate::publisher::{Ack, Outgoing};

/// How large bundles get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Messages.
    pub(crate) count_max: usize,
    /// Bytes of the body.
    pub(crate) bytes_max: usize,
}

/// The messages, some of them in bundles, and for each of the given ones which it went into.
pub(crate) fn bundled(batch: Vec<Outgoing>, limits: Limits) -> (Vec<Outgoing>, Vec<usize>) {
    if limits.count_max <= 1 {
        let places = (0..batch.len()).collect();
        return (batch, places);
    }
    let mut bundles: Vec<Bundle> = Vec::new();
    // Of each subject the one that is not full.
    let mut open: HashMap<String, usize> = HashMap::new();
    let mut places = Vec::with_capacity(batch.len());
    for message in batch {
        let fits = |place: &usize| bundles[*place].has_room(&message, limits);
        let place = match open.get(&message.subject).copied().filter(fits) {
            Some(place) if is_plain(&message) => place,
            _ => {
                if is_plain(&message) {
                    open.insert(message.subject.clone(), bundles.len());
                }
                bundles.push(Bundle::default());
                bundles.len() - 1
            }
        };
        bundles[place].add(message);
        places.push(place);
    }
    (bundles.into_iter().filter_map(Bundle::message).collect(), places)
}

/// Whether nothing but the body says what it is.
fn is_plain(message: &Outgoing) -> bool {
    message.ack == Ack::Shared && message.content_type == CONTENT_TYPE && message.traceparent.is_none()
}

#[derive(Default)]
struct Bundle {
    messages: Vec<Outgoing>,
    /// Of the body, brackets and commas included.
    bytes: usize,
}

impl Bundle {
    fn has_room(&self, message: &Outgoing, limits: Limits) -> bool {
        self.messages.len() < limits.count_max && self.bytes + 1 + message.body.len() <= limits.bytes_max
    }

    fn add(&mut self, message: Outgoing) {
        // A comma before it, or both brackets.
        self.bytes += message.body.len() + if self.messages.is_empty() { 2 } else { 1 };
        self.messages.push(message);
    }

    fn message(self) -> Option<Outgoing> {
        let Self { mut messages, bytes } = self;
        if messages.len() <= 1 {
            return messages.pop();
        }
        let mut body = Vec::with_capacity(bytes);
        for (separator, message) in once(b'[').chain(std::iter::repeat(b',')).zip(&messages) {
            body.push(separator);
            body.extend_from_slice(&message.body);
        }
        body.push(b']');
        let first = messages.swap_remove(0);
        Some(Outgoing {
            body: Bytes::from(body),
            message_id: None,
            content_type: BATCH_CONTENT_TYPE,
            ..first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, body: &str) -> Outgoing {
        Outgoing {
            subject: subject.to_owned(),
            body: Bytes::from(body.to_owned()),
            message_id: Some(format!("{subject}/{body}")),
            content_type: CONTENT_TYPE,
            traceparent: None,
            ack: Ack::Shared,
        }
    }

    fn shown(batch: Vec<Outgoing>, limits: Limits) -> (Vec<String>, Vec<usize>) {
        let (messages, places) = bundled(batch, limits);
        let show = |message: Outgoing| {
            let body = String::from_utf8(message.body.to_vec()).unwrap();
            let is_batch = message.content_type == BATCH_CONTENT_TYPE;
            assert_eq!(is_batch, body.starts_with('['), "{body}");
            assert_eq!(is_batch, message.message_id.is_none(), "{body}");
            format!("{} {body}", message.subject)
        };
        (messages.into_iter().map(show).collect(), places)
    }

    const LIMITS: Limits = Limits { count_max: 3, bytes_max: 100 };

    #[test]
    fn what_goes_to_one_subject_goes_together() {
        let batch =
            || ["a 1", "b 2", "a 3", "a 4", "a 5", "b 6", "c 7"].map(|it| it.split_once(' ').unwrap());
        let batch = || batch().map(|(subject, body)| message(subject, body)).to_vec();
        let (messages, places) = shown(batch(), LIMITS);
        assert_eq!(messages, ["a [1,3,4]", "b [2,6]", "a 5", "c 7"]);
        assert_eq!(places, [0, 1, 0, 0, 2, 1, 3]);
        let (messages, places) = shown(batch(), Limits { count_max: 1, ..LIMITS });
        assert_eq!(messages.len(), 7);
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_bundle_is_no_larger_than_it_may_be() {
        let batch = ["12", "34", "56"].map(|body| message("a", body)).to_vec();
        // Two of them take seven bytes with brackets and comma.
        let (messages, _) = shown(batch.clone(), Limits { bytes_max: 7, ..LIMITS });
        assert_eq!(messages, ["a [12,34]", "a 56"]);
        let (messages, _) = shown(batch, Limits { bytes_max: 6, ..LIMITS });
        assert_eq!(messages, ["a 12", "a 34", "a 56"]);
    }

    #[test]
    fn what_says_something_besides_its_body_goes_alone() {
        let plain = message("a", "1");
        let batch = vec![
            plain.clone(),
            Outgoing { ack: Ack::Own, ..plain.clone() },
            Outgoing { traceparent: Some("00-1-2-01".to_owned()), ..plain.clone() },
            Outgoing { content_type: "text/plain", ..plain.clone() },
            plain,
        ];
        let (messages, places) = shown(batch, LIMITS);
        assert_eq!(messages, ["a [1,1]", "a 1", "a 1", "a 1"]);
        assert_eq!(places, [0, 1, 2, 3, 0]);
    }
}
