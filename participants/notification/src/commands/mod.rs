//! The commands: `send-confirmation` and `send-rejection` differ in nothing but the template.

mod send_mail;

pub(crate) use send_mail::SendMail;
