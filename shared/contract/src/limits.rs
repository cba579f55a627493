//! Sizes that both ends of the wire agree on.
//!
//! They are constants, not configuration: a participant in another language has to know them.

/// Largest command envelope in bytes (512 KiB). Half of the server's default `max_payload` (1 MiB), so
/// that a reply or a dead letter that quotes the command still fits.
pub const COMMAND_BYTES_MAX: usize = 512 * 1024;

/// Largest envelope of any kind that a reader decodes, in bytes: the server's default `max_payload`.
pub const ENVELOPE_BYTES_MAX: usize = 1024 * 1024;

/// Most messages in one batch. The shortest message there can be takes 150 bytes, so a batch that fits
/// [`ENVELOPE_BYTES_MAX`] has fewer; only a body of tiny pieces of garbage has more.
pub const BATCH_COUNT_MAX: usize = 8 * 1024;

/// How much of a dead message's headers its dead letter carries, in bytes. Headers may be as large as a
/// body, and a dead letter that does not fit `max_payload` could not be sent.
pub const DEAD_HEADER_BYTES_MAX: usize = 16 * 1024;

/// How much of a dead message's body its dead letter carries, in bytes. A longer body is kept as its
/// beginning and its digest; base64 makes 4/3 of it, which still fits `max_payload`.
pub const DEAD_BODY_BYTES_MAX: usize = 512 * 1024;

/// Unreadable elements of one batch that are set aside each for itself, at most. Of a body of tiny pieces of garbage each
/// piece would become a message many times its size; such a body is set aside whole.
pub const DEAD_ELEMENTS_MAX: usize = 64;

/// How deep `data` may be nested. JSON parsers give up somewhere (ours at 128), and what a participant
/// answers is stored inside a saga's state, some levels further down.
pub const DATA_DEPTH_MAX: usize = 64;
