//! All messages that any run of a scene can send, each known by a number.
//!
//! Invariant: the number stands for the whole message; two that differ anywhere have two numbers.

use std::{fmt, sync::Arc};

use amends_contract::{Command, Reply};

use crate::pool::Pool;

/// A message on the network.
#[derive(Debug)]
pub enum Message {
    /// To a participant.
    Command(Command),
    /// To the orchestrators.
    Reply(Reply),
}

/// `b/undo #2: undone`
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => {
                let effect = &command.effect;
                let (step, direction) = (&effect.step, effect.direction.as_str());
                write!(f, "{step}/{direction} #{}: {}", command.send_no, command.address.command)
            }
            Self::Reply(reply) => {
                let (step, direction) = (&reply.effect.step, reply.effect.direction.as_str());
                write!(f, "{step}/{direction} #{}: {}", reply.send_no, reply.outcome.name())
            }
        }
    }
}

/// The messages and their numbers.
#[derive(Debug, Default)]
pub struct Mail(Pool<Message>);

impl Mail {
    pub(crate) fn put(&self, message: Message) -> u32 {
        self.0.id(format!("{message:?}"), || message)
    }

    pub(crate) fn get(&self, id: u32) -> Arc<Message> {
        self.0.get(id)
    }
}
