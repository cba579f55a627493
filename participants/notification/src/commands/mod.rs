//! The commands: one per occasion, and they differ in nothing but the template.

mod send_mail;

pub(crate) use send_mail::SendMail;
