//! The loopback ports of a demo: the usual ones if nobody has them, else others.
//!
//! Invariant: two demos never share a port. Each holds the first port of its block open as long as it
//! lives, and a block belongs to whoever holds that one.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Context;

/// Where services listen unless told otherwise: 8080 to 8086, and the guard before them.
const USUAL: u16 = 8_079;

/// Other blocks lie here, below the ports from which the kernel makes outgoing connections: nobody takes
/// one by chance between the asking and the listening.
const OTHERS: std::ops::Range<u16> = 2_500..4_000;

/// The guard, and a port for each listener.
const BLOCK: u16 = 8;

/// So many blocks are tried.
const TRIES: usize = 200;

/// Ports that are free, and remain so for other demos.
pub(crate) struct Ports {
    pub(crate) orchestrator: u16,
    pub(crate) admin: u16,
    pub(crate) inventory: u16,
    pub(crate) payment: u16,
    pub(crate) notification: u16,
    pub(crate) provider: u16,
    pub(crate) mail: u16,
    _guard: TcpListener,
}

impl Ports {
    /// Takes a block.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let others = std::iter::repeat_with(|| rand::random_range(OTHERS) * BLOCK).take(TRIES);
        let mut blocks = std::iter::once(USUAL).chain(others);
        blocks.find_map(Self::at).context("no eight loopback ports in a row are free")
    }

    fn at(first: u16) -> Option<Self> {
        let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
        let guard = free(first)?;
        (1..BLOCK).all(|n| free(first + n).is_some()).then(|| Self {
            orchestrator: first + 1,
            admin: first + 2,
            inventory: first + 3,
            payment: first + 4,
            notification: first + 5,
            provider: first + 6,
            mail: first + 7,
            _guard: guard,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_demos_share_no_port() {
        let (first, second) = (Ports::take().unwrap(), Ports::take().unwrap());
        let all = |ports: &Ports| ports.orchestrator..=ports.mail;
        assert!(!all(&first).any(|port| all(&second).contains(&port)));
    }

    #[test]
    fn a_block_with_a_taken_port_is_passed_over() {
        let ports = Ports::take().unwrap();
        let first = ports.orchestrator - 1;
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.provider)).unwrap();
        drop(ports);
        assert!(Ports::at(first).is_none());
        drop(taken);
    }
}
