//! Handing over to a real SMTP server on a real socket: what is known after each kind of trouble.
//!
//! Invariant under test: doubt begins with the end of the message, and nowhere earlier.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use amends_notification::catcher::{Behaviour, Catcher};
use amends_notification::smtp::{Config, Handover, Smtp};
use lettre::address::Envelope;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const ANYWHERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const TEXT: &[u8] = b"Subject: tea\r\nMessage-ID: <1@shop.example>\r\n\r\nYour tea.\r\n.\r\nMore tea.";

fn config(server: SocketAddr) -> Config {
    Config { url: format!("smtp://{server}").into(), ..Config::default() }
}

/// For tests of silence: waits that end soon. Nothing is asserted about how long they take.
fn impatient(server: SocketAddr) -> Config {
    Config { message_timeout_ms: 200, command_timeout_ms: 200, connect_timeout_ms: 200, ..config(server) }
}

fn envelope(to: &str) -> Envelope {
    Envelope::new(Some("orders@shop.example".parse().unwrap()), vec![to.parse().unwrap()]).unwrap()
}

async fn send(smtp: &Smtp, text: &[u8]) -> Handover {
    smtp.send(&envelope("ann@example.org"), text, async { Ok(()) }).await
}

async fn catcher() -> Catcher {
    Catcher::start(ANYWHERE.into()).await.unwrap()
}

/// What happens to one message under a behaviour, and whether the catcher has it.
async fn under(behaviour: Behaviour) -> (Handover, usize) {
    let catcher = catcher().await;
    catcher.behave(behaviour);
    let smtp = Smtp::new(&impatient(catcher.smtp_addr())).unwrap();
    let handover = send(&smtp, TEXT).await;
    (handover, catcher.messages().len())
}

fn kind(handover: &Handover) -> String {
    match handover {
        Handover::Accepted => "accepted".to_owned(),
        Handover::Refused { reason } => format!("refused: {reason}"),
        Handover::NotTaken { code, .. } => format!("not taken: {code}"),
        Handover::Unknown { code } => format!("unknown: {code}"),
    }
}

#[tokio::test]
async fn a_message_arrives_whole_and_connections_are_used_again() {
    let catcher = catcher().await;
    let smtp = Smtp::new(&config(catcher.smtp_addr())).unwrap();
    for _ in 0..3 {
        assert_eq!(send(&smtp, TEXT).await, Handover::Accepted);
    }
    let messages = catcher.messages();
    assert_eq!(messages.len(), 3);
    let message = &messages[0];
    assert_eq!(message.from, "orders@shop.example");
    assert_eq!(message.to, ["ann@example.org"]);
    assert_eq!(message.subject.as_deref(), Some("tea"));
    assert_eq!(message.message_id.as_deref(), Some("<1@shop.example>"));
    // A dot on a line of its own is text, not the end.
    assert_eq!(message.text.as_bytes(), [TEXT, b"\r\n"].concat());
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let recipients = |code| under(Behaviour::RefuseRecipients { code });
    assert_eq!(kind(&recipients(550).await.0), "refused: 550 no such mailbox today");
    assert_eq!(kind(&recipients(451).await.0), "not taken: smtp-refused");
    assert_eq!(kind(&recipients(530).await.0), "not taken: smtp-refused");
    let messages = |code| under(Behaviour::RefuseMessages { code });
    assert_eq!(kind(&messages(554).await.0), "refused: 554 no such message today");
    assert_eq!(kind(&messages(452).await.0), "not taken: smtp-refused");
}

#[tokio::test]
async fn silence_after_the_end_is_doubt_whether_it_arrived_or_not() {
    for keep in [true, false] {
        let (handover, kept) = under(Behaviour::DropAfterMessage { keep }).await;
        assert_eq!((kind(&handover).as_str(), kept), ("unknown: smtp-connection", usize::from(keep)));
        let (handover, kept) = under(Behaviour::HangAfterMessage { keep }).await;
        assert_eq!((kind(&handover).as_str(), kept), ("unknown: smtp-timeout", usize::from(keep)));
    }
}

#[tokio::test]
async fn nobody_there_is_no_doubt() {
    let address = TcpListener::bind(ANYWHERE).await.unwrap().local_addr().unwrap();
    let smtp = Smtp::new(&impatient(address)).unwrap();
    assert_eq!(kind(&send(&smtp, TEXT).await), "not taken: smtp-unreachable");
    assert!(smtp.reach().await.is_err());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_no_doubt() {
    let listener = TcpListener::bind(ANYWHERE).await.unwrap();
    let smtp = Smtp::new(&impatient(listener.local_addr().unwrap())).unwrap();
    assert_eq!(kind(&send(&smtp, TEXT).await), "not taken: smtp-unreachable");
}

/// A server that answers line by line from a script, then closes.
async fn scripted(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind(ANYWHERE).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let mut lines = BufReader::new(read).lines();
        for (index, answer) in answers.iter().enumerate() {
            // The greeting comes unasked.
            if index > 0 && lines.next_line().await.unwrap().is_none() {
                return;
            }
            write.write_all(answer.as_bytes()).await.unwrap();
        }
        // Closed with unread text: the client's writing fails.
        reset(stream);
    });
    address
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_connection_that_breaks_within_the_text_is_no_doubt() {
    let server = scripted(&["220 hi\r\n", "250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"]).await;
    let smtp = Smtp::new(&config(server)).unwrap();
    // Far more than the socket's buffers hold, so that writing it cannot end.
    let text = vec![b'x'; 64 * 1024 * 1024];
    assert_eq!(kind(&send(&smtp, &text).await), "not taken: smtp-connection");
}

#[tokio::test]
async fn a_server_that_does_not_like_us_refuses_no_mail() {
    let server = scripted(&["554 go away\r\n"]).await;
    assert_eq!(kind(&send(&Smtp::new(&config(server)).unwrap(), TEXT).await), "not taken: smtp-refused");
    let server = scripted(&["220 hi\r\n", "250 hi\r\n", "550 your sender is unknown\r\n"]).await;
    assert_eq!(kind(&send(&Smtp::new(&config(server)).unwrap(), TEXT).await), "not taken: smtp-refused");
}

#[tokio::test]
async fn a_no_before_the_end_sends_nothing() {
    let catcher = catcher().await;
    let smtp = Smtp::new(&config(catcher.smtp_addr())).unwrap();
    let handover = smtp.send(&envelope("ann@example.org"), TEXT, async { Err("taken-over") }).await;
    assert_eq!(kind(&handover), "not taken: taken-over");
    assert_eq!(catcher.messages(), []);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing() {
    // Serves one message per connection, and closes it right after.
    let listener = TcpListener::bind(ANYWHERE).await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = std::sync::Arc::new(AtomicU32::new(0));
    let count = served.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.split();
            let mut lines = BufReader::new(read).lines();
            for answer in ["220 hi", "250 hi", "250 ok", "250 ok", "354 go on"] {
                if answer != "220 hi" {
                    lines.next_line().await.unwrap();
                }
                write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            }
            while lines.next_line().await.unwrap().is_some_and(|line| line != ".") {}
            // With a word of farewell, or without.
            let farewell =
                if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { "421 idle\r\n" } else { "" };
            write.write_all(format!("250 taken\r\n{farewell}").as_bytes()).await.unwrap();
        }
    });
    let smtp = Smtp::new(&config(address)).unwrap();
    for _ in 0..3 {
        assert_eq!(send(&smtp, TEXT).await, Handover::Accepted);
    }
    assert_eq!(served.load(Ordering::SeqCst), 3);
}
