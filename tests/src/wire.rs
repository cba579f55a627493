//! The broker as an outsider sees it: NATS spoken by hand, text over a socket.
//!
//! Poison has to come from somebody who keeps no rules, and a check of the streams from somebody who
//! shares no code with what it checks. <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
/// A server that lives greets at once.
const GREETS_WITHIN: Duration = Duration::from_secs(2);

/// A connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
    inbox: u64,
    /// Of the last answer.
    headers: String,
}

impl Wire {
    /// Connects to `nats://host:port`, or to the first of several, separated by commas, that answers.
    ///
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    pub fn connect(urls: &str) -> Self {
        let urls: Vec<&str> = urls.split(',').collect();
        // One of several may stand still; a single one may be slow.
        let greets_within = if urls.len() > 1 { GREETS_WITHIN } else { PATIENCE };
        let mut tried = urls.iter().map(|url| Self::connect_within(url, greets_within));
        let wire = tried.find_map(Result::ok).expect("the broker listens");
        wire.wait_for(PATIENCE).expect("a timeout can be set");
        wire
    }

    /// Connects to `nats://host:port`, and waits for this and for each answer so long at most.
    ///
    /// # Errors
    /// When nobody listens there, or greets.
    pub fn connect_within(url: &str, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("nats://"))?;
        let mut wire = Self { stream: BufReader::new(stream), inbox: 0, headers: String::new() };
        wire.wait_for(patience)?;
        let greeting = wire.line()?;
        assert!(greeting.starts_with("INFO "), "{greeting:?} is no greeting of a broker");
        wire.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n")?;
        Ok(wire)
    }

    fn wait_for(&self, patience: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(patience))
    }

    /// Publishes to a stream, and waits until it is stored; gives its sequence.
    ///
    /// # Panics
    /// When no stream stores it.
    pub fn publish(&mut self, subject: &str, body: &[u8]) -> u64 {
        let answer = self.request(subject, body);
        answer["seq"].as_u64().unwrap_or_else(|| panic!("{subject}: {answer}"))
    }

    /// Publishes without waiting for anybody to store it, and returns when the broker has read it.
    pub fn scatter<'a>(&mut self, messages: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        for (subject, body) in messages {
            self.put(&format!("PUB {subject} {}\r\n", body.len()), body).expect("the broker reads");
        }
        self.api("INFO", &json!({}));
    }

    /// A request to JetStream's API.
    pub fn api(&mut self, operation: &str, request: &Value) -> Value {
        self.request(&format!("$JS.API.{operation}"), request.to_string().as_bytes())
    }

    /// All messages of a stream: subject and body.
    ///
    /// # Panics
    /// When there is no such stream.
    pub fn messages(&mut self, stream: &str) -> Vec<(String, Vec<u8>)> {
        let (first, last) = self.positions(stream).unwrap_or_else(|| panic!("there is no stream {stream}"));
        self.messages_between(stream, first, last)
    }

    /// Sequences of a stream's first and last message; `None` when there is no such stream.
    pub fn positions(&mut self, stream: &str) -> Option<(u64, u64)> {
        let info = self.api(&format!("STREAM.INFO.{stream}"), &json!({}));
        Some((info["state"]["first_seq"].as_u64()?, info["state"]["last_seq"].as_u64()?))
    }

    /// Subject and body of what is stored between two sequences, both included.
    ///
    /// # Panics
    /// When the broker stores what is no base64.
    pub fn messages_between(&mut self, stream: &str, first: u64, last: u64) -> Vec<(String, Vec<u8>)> {
        (first..=last)
            .filter_map(|seq| {
                let answer = self.api(&format!("STREAM.MSG.GET.{stream}"), &json!({ "seq": seq }));
                let message = answer.get("message")?;
                let body = BASE64.decode(message["data"].as_str().unwrap_or_default()).expect("base64");
                Some((message["subject"].as_str().unwrap_or_default().to_owned(), body))
            })
            .collect()
    }

    /// The headers of the last answer, as they came.
    #[must_use]
    pub fn headers(&self) -> &str {
        &self.headers
    }

    /// Asks, and gives the answer; one that is no JSON, or only headers, as the text `raw`.
    ///
    /// # Panics
    /// When nobody answers for long.
    pub fn request(&mut self, subject: &str, body: &[u8]) -> Value {
        self.ask(subject, body)
            .unwrap_or_else(|error| panic!("{subject}: the broker does not answer: {error}"))
    }

    /// The same, where nobody may answer.
    ///
    /// # Errors
    /// When nobody answers in time, or the connection ends. It is good for nothing then.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn ask(&mut self, subject: &str, body: &[u8]) -> io::Result<Value> {
        self.inbox += 1;
        let (number, inbox) =
            (self.inbox, format!("_INBOX.amends-tests.{}.{}", std::process::id(), self.inbox));
        self.send(format!("SUB {inbox} {number}\r\nUNSUB {number} 1\r\n").as_bytes())?;
        self.put(&format!("PUB {subject} {inbox} {}\r\n", body.len()), body)?;
        loop {
            let line = self.line()?;
            if line.starts_with("PING") {
                self.send(b"PONG\r\n")?;
            } else if line.starts_with("MSG ") || line.starts_with("HMSG ") {
                let mut sizes = line.split(' ').rev().map_while(|size| size.parse::<usize>().ok());
                let size = sizes.next().expect("a size");
                let header_size =
                    if line.starts_with("HMSG ") { sizes.next().expect("two sizes") } else { 0 };
                let mut message = vec![0; size + 2];
                self.stream.read_exact(&mut message)?;
                let (headers, body) = message.split_at(header_size);
                self.headers = String::from_utf8_lossy(headers).into_owned();
                return Ok(serde_json::from_slice(body)
                    .unwrap_or_else(|_| json!({ "raw": String::from_utf8_lossy(&message) })));
            } else {
                assert!(!line.starts_with("-ERR"), "{subject}: {line}");
            }
        }
    }

    /// A line; at the end of the connection an error, not an empty one for ever.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn put(&mut self, command: &str, body: &[u8]) -> io::Result<()> {
        self.send(command.as_bytes())?;
        self.send(body)?;
        self.send(b"\r\n")
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }
}
