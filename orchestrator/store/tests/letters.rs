//! Dead letters are kept once each, whatever the broker forgets.

use amends_contract::{DeadLetter, DeadReason, Origin, Part, Timestamp, decode_batch};
use amends_store::{DeadLetterFilter, LetterOutcome, LetterState};

use crate::database::Database;
use crate::sagas::token;

on_both_databases!(
    dead_letters_are_kept_once_and_listed_newest_first,
    a_new_letter_under_an_old_number_is_kept,
    elements_of_a_batch_are_letters_of_their_own,
    a_letter_is_never_refused_for_what_it_says,
    a_damaged_letter_is_named_and_the_others_are_listed,
    what_is_done_with_a_letter_is_journalled,
    letters_are_found_by_what_is_known_of_them,
);

const ALL: DeadLetterFilter = DeadLetterFilter {
    states: Vec::new(),
    code: None,
    participant: None,
    subject: None,
    from: None,
    before: None,
};

fn letter(seq: u64, body: &[u8]) -> DeadLetter {
    DeadLetter::new(
        token("inventory"),
        Timestamp::from_unix_ms(1_795_248_000_123),
        DeadReason { code: "not-json".to_owned(), message: "the body is not JSON: 'x'".to_owned() },
        origin(seq, body),
    )
}

fn origin(stream_seq: u64, body: &[u8]) -> Origin<'_> {
    Origin {
        subject: "amends.cmd.inventory.reserve-stock".to_owned(),
        stream: "AMENDS_CMD".to_owned(),
        stream_seq,
        headers: [("Nats-Msg-Id".to_owned(), "ü".to_owned())].into(),
        body,
        part: Part::WHOLE,
    }
}

/// Two of the same words in one batch are two letters: each may be sent again for itself.
async fn elements_of_a_batch_are_letters_of_their_own(db: Database) {
    let body = b"[1, 1]";
    let elements = decode_batch(body).unwrap().into_iter().map(|decoded| decoded.part);
    let reason = DeadReason { code: "not-an-envelope".to_owned(), message: "a number".to_owned() };
    let at = Timestamp::from_unix_ms(1_795_248_000_123);
    let of =
        |part| DeadLetter::new(token("inventory"), at, reason.clone(), Origin { part, ..origin(7, body) });
    let letters: Vec<DeadLetter> = elements.map(of).collect();
    assert_eq!(db.store.insert_dead_letters(&letters).await.unwrap(), 2);
    assert_eq!(db.store.insert_dead_letters(&letters).await.unwrap(), 0);
    let rows = db.store.dead_letters(&ALL, None, 10).await.unwrap().rows;
    let found: Vec<DeadLetter> = rows.into_iter().rev().map(|row| row.letter.unwrap()).collect();
    assert_eq!(found, letters);
    assert_eq!((found[1].element, found[1].body().unwrap()), (Some(1), b"1".to_vec()));
}

async fn dead_letters_are_kept_once_and_listed_newest_first(db: Database) {
    let letters: Vec<DeadLetter> = (1..=40).map(|seq| letter(seq, &[0, 255, b'x'])).collect();
    assert_eq!(db.store.insert_dead_letters(&letters).await.unwrap(), 40);
    assert_eq!(db.store.insert_dead_letters(&letters[7..9]).await.unwrap(), 0);
    assert_eq!(db.store.insert_dead_letters(&[]).await.unwrap(), 0);
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = db.store.dead_letters(&ALL, cursor, 15).await.unwrap();
        seen.extend(page.rows.into_iter().map(|row| row.letter.unwrap()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, letters);
}

async fn a_new_letter_under_an_old_number_is_kept(db: Database) {
    // A broker that lost its store counts from 1 again.
    let (old, new) = (letter(1, b"old"), letter(1, b"new"));
    assert_eq!(old.id(), new.id());
    assert_eq!(db.store.insert_dead_letters(&[old.clone(), new.clone(), old]).await.unwrap(), 2);
}

async fn a_letter_is_never_refused_for_what_it_says(db: Database) {
    let mut letter = letter(1, &[0; 600_000]);
    letter.reason.message.push('\0');
    letter.subject.push('\0');
    letter.headers.insert("x\0".to_owned(), "\0".to_owned());
    assert_eq!(db.store.insert_dead_letters(&[letter.clone()]).await.unwrap(), 1);
    let stored = db.store.dead_letters(&ALL, None, 1).await.unwrap().rows.swap_remove(0).letter.unwrap();
    assert_eq!((stored.headers, stored.body_bytes), (letter.headers, 600_000));
    assert!(stored.subject.ends_with('\u{fffd}'));
}

async fn a_damaged_letter_is_named_and_the_others_are_listed(db: Database) {
    db.store.insert_dead_letters(&[letter(1, b"a"), letter(2, b"b")]).await.unwrap();
    db.damage("UPDATE dead_letters SET headers = '' WHERE stream_seq = 2").await;
    let rows = db.store.dead_letters(&ALL, None, 10).await.unwrap().rows;
    let readable: Vec<bool> = rows.iter().map(|row| row.letter.is_ok()).collect();
    assert_eq!(readable, [false, true]);
}

async fn what_is_done_with_a_letter_is_journalled(db: Database) {
    let store = &db.store;
    store.insert_dead_letters(&[letter(1, b"a"), letter(2, b"b")]).await.unwrap();
    let numbers: Vec<i64> =
        store.dead_letters(&ALL, None, 10).await.unwrap().rows.iter().map(|row| row.number).collect();
    let [second, first] = numbers[..] else { panic!("{numbers:?}") };

    let note = store.redrive_begins(first, "ada (k1)", "the schema is mended").await.unwrap();
    let row = store.dead_letter(first).await.unwrap().unwrap();
    assert_eq!((row.state, &row.actions[0].outcome), (LetterState::Open, &LetterOutcome::Unknown));
    store.redrive_ended((first, note), Err("the broker is unavailable".to_owned())).await.unwrap();
    let note = store.redrive_begins(first, "ada (k1)", "once more").await.unwrap();
    store.redrive_ended((first, note), Ok(7)).await.unwrap();
    let row = store.dead_letter(first).await.unwrap().unwrap();
    assert_eq!(row.state, LetterState::Redriven);
    let said: Vec<_> = row
        .actions
        .iter()
        .map(|action| {
            (action.action.as_str(), action.actor.as_str(), action.reason.as_str(), &action.outcome)
        })
        .collect();
    let failed = LetterOutcome::Failed { why: "the broker is unavailable".to_owned() };
    let done = LetterOutcome::Done { stream_seq: Some(7) };
    assert_eq!(
        said,
        [
            ("redrive", "ada (k1)", "the schema is mended", &failed),
            ("redrive", "ada (k1)", "once more", &done),
        ]
    );

    // Only what nobody has dealt with can be discarded, and only once.
    assert!(!store.discard(first, "ada (k1)", "x").await.unwrap());
    assert!(store.discard(second, "bob (k2)", "a prank").await.unwrap());
    assert!(!store.discard(second, "bob (k2)", "again").await.unwrap());
    assert!(!store.discard(999, "bob (k2)", "nobody's").await.unwrap());
    let row = store.dead_letter(second).await.unwrap().unwrap();
    assert_eq!((row.state, row.actions.len()), (LetterState::Discarded, 1));
    assert!(store.dead_letter(999).await.unwrap().is_none());
}

async fn letters_are_found_by_what_is_known_of_them(db: Database) {
    let store = &db.store;
    let mut other = letter(3, b"c");
    other.participant = token("orchestrator");
    other.reason.code = "unroutable".to_owned();
    other.subject = "amends.reply.payment".to_owned();
    other.at = Timestamp::from_unix_ms(1_795_248_000_500);
    store.insert_dead_letters(&[letter(1, b"a"), letter(2, b"b"), other]).await.unwrap();
    let oldest = store.dead_letters(&ALL, None, 10).await.unwrap().rows[2].number;
    assert!(store.discard(oldest, "ada", "why not").await.unwrap());
    let found = async |filter: DeadLetterFilter| {
        let rows = store.dead_letters(&filter, None, 10).await.unwrap().rows;
        rows.into_iter().map(|row| row.letter.unwrap().stream_seq).collect::<Vec<_>>()
    };
    let at = |ms: i64| Some(Timestamp::from_unix_ms(1_795_248_000_000 + ms));
    assert_eq!(found(ALL).await, [3, 2, 1]);
    let states = vec![LetterState::Open, LetterState::Redriven];
    assert_eq!(found(DeadLetterFilter { states, ..ALL }).await, [3, 2]);
    assert_eq!(found(DeadLetterFilter { states: vec![LetterState::Discarded], ..ALL }).await, [1]);
    assert_eq!(found(DeadLetterFilter { code: Some("unroutable".to_owned()), ..ALL }).await, [3]);
    assert_eq!(found(DeadLetterFilter { participant: Some(token("inventory")), ..ALL }).await, [2, 1]);
    let subject = Some("amends.reply.payment".to_owned());
    assert_eq!(found(DeadLetterFilter { subject, ..ALL }).await, [3]);
    assert_eq!(found(DeadLetterFilter { from: at(500), ..ALL }).await, [3]);
    assert_eq!(found(DeadLetterFilter { before: at(500), ..ALL }).await, [2, 1]);
}
