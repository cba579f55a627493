//! Free ports of loopback.
//!
//! Invariant: a port is given out once per process, and never one from which the kernel makes outgoing
//! connections (32768 and up): nobody takes it by chance between the asking and the listening.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that nobody listens on.
///
/// # Panics
/// When all of them are taken.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side start at different places.
    #[allow(clippy::cast_possible_truncation, reason = "any number does")]
    let offset = (std::process::id() as u16).wrapping_mul(97);
    (0..COUNT)
        .map(|_| FIRST + offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of twelve thousand ports is free")
}

#[test]
fn ports_are_given_out_once() {
    let ports: std::collections::BTreeSet<_> = (0..100).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 100);
}
