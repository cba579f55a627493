//! A mail server that takes a mail and dies before it says so; asked again, it does its work.
//!
//! Invariant: what it has taken is kept, whatever it answered.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// It listens until the test ends.
pub(super) struct MailServer {
    port: u16,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    mails: Mutex<Vec<String>>,
    answers: AtomicBool,
}

impl MailServer {
    /// One that does not answer for its first mail.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let kept = Arc::new(Kept::default());
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let kept = Arc::clone(&shared);
                thread::spawn(move || serve(connection, &kept));
            }
        });
        Self { port, kept }
    }

    pub(super) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// All that it has taken, each with its head.
    pub(super) fn taken(&self) -> Vec<String> {
        self.kept.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next mail is taken without an answer.
    pub(super) fn forget_to_answer(&self) {
        self.kept.answers.store(false, Ordering::Relaxed);
    }
}

/// Whoever breaks off has gone away.
fn serve(connection: TcpStream, kept: &Kept) -> Option<()> {
    let mut writer = connection.try_clone().ok()?;
    let mut lines = BufReader::new(connection).lines();
    let mut say = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes()).ok();
    say("220 a mail server")?;
    loop {
        let line = lines.next()?.ok()?.to_ascii_uppercase();
        if line.starts_with("QUIT") {
            return say("221 bye");
        }
        if !line.starts_with("DATA") {
            say("250 yes")?;
            continue;
        }
        say("354 go on")?;
        let mail: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
        kept.mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail.join("\n"));
        if !kept.answers.swap(true, Ordering::Relaxed) {
            return None;
        }
        say("250 taken")?;
    }
}
