//! One SMTP connection of the catcher.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use mailin::{Action, Handler, Response, SessionBuilder, response};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{Behaviour, Shelf};

/// Longest line that is read, in bytes. RFC 5321, 4.5.3.1.6, has 1,000; generous, but bounded.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Longest message that is kept, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// What becomes of the connection after the answer to a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    GoOn,
    /// The answer is sent, then the connection is closed: mailin goes on collecting the text of a message
    /// that was refused at its end.
    Close,
    /// Closed without an answer.
    Drop,
    /// Open without an answer.
    Hang,
}

/// The decisions of one connection.
struct Mailbox {
    shelf: Shelf,
    from: String,
    to: Vec<String>,
    text: Vec<u8>,
    /// Shared with the loop, since mailin keeps the handler to itself.
    fate: Arc<Mutex<Fate>>,
}

impl Handler for Mailbox {
    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        self.from = from.to_owned();
        self.to.clear();
        self.text.clear();
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        if let Behaviour::RefuseRecipients { code } = self.shelf.behaviour() {
            return Response::custom(code, "no such mailbox today".to_owned());
        }
        self.to.push(to.to_owned());
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        if self.text.len() + line.len() <= MESSAGE_BYTES_MAX {
            self.text.extend_from_slice(line);
        }
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let (keep, fate, answer) = match self.shelf.behaviour() {
            Behaviour::Accept | Behaviour::RefuseRecipients { .. } => (true, Fate::GoOn, response::OK),
            Behaviour::RefuseMessages { code } => {
                (false, Fate::Close, Response::custom(code, "no such message today".to_owned()))
            }
            Behaviour::DropAfterMessage { keep } => (keep, Fate::Drop, response::OK),
            Behaviour::HangAfterMessage { keep } => (keep, Fate::Hang, response::OK),
        };
        if keep {
            self.shelf.keep(std::mem::take(&mut self.from), std::mem::take(&mut self.to), &self.text);
        }
        self.text.clear();
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner) = fate;
        answer
    }
}

pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, shelf: Shelf) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let fate = Arc::new(Mutex::new(Fate::default()));
    let mailbox = Mailbox { shelf, from: String::new(), to: vec![], text: vec![], fate: fate.clone() };
    let mut session = SessionBuilder::new("catcher.invalid").build(peer.ip(), mailbox);
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    write.write_all(&session.greeting().buffer()?).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if read == 0 || !line.ends_with(b"\n") {
            return Ok(());
        }
        let answer = session.process(&line);
        let fate = *fate.lock().unwrap_or_else(PoisonError::into_inner);
        match fate {
            Fate::Drop => return Ok(()),
            Fate::Hang => {
                // Until the client gives up.
                tokio::io::copy(&mut lines, &mut tokio::io::sink()).await?;
                return Ok(());
            }
            Fate::GoOn | Fate::Close => write.write_all(&answer.buffer()?).await?,
        }
        match answer.action {
            Action::Reply if fate == Fate::GoOn => {}
            Action::NoReply => {}
            Action::Reply | Action::Close | Action::UpgradeTls => return Ok(()),
        }
    }
}
