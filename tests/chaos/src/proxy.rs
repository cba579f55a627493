//! A TCP proxy of the tests, between a service and what it talks to, with weather.
//!
//! TCP hides a lost packet behind a pause, so a partition is silence on a connection that stands; what was in
//! flight arrives when it ends. Loss is short silences at random.
//!
//! Invariant: in clear weather every byte goes through, in order, and an end of either side is passed on.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use amends_tests::{Dice, free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What a connection suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing.
    Clear,
    /// Silence in both directions, for connections that stand and for new ones.
    Partition,
    /// Silence from the service.
    NothingOut,
    /// Silence to the service.
    NothingIn,
    /// Each piece comes so many milliseconds later, more or less.
    Delay(u64),
    /// So many of a hundred pieces are held up, as if they had to be sent again.
    Loss(u64),
    /// The far side of all connections is gone, and nobody tells the service. New ones are fine.
    HalfOpen,
    /// The connection ends when a commit is on its way: the server has it, its answer is lost.
    CutCommits,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the service.
    Out,
    /// To it.
    In,
}

#[derive(Clone, Copy, Debug)]
struct State {
    weather: Weather,
    /// Rises with every reset: connections of an older age end.
    age: u64,
}

/// A proxy. It ends with its runtime.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
}

/// How much is passed on at once: small, so that weather falls between the pieces of a message.
const PIECE_BYTES: usize = 4_096;
/// How long a lost piece takes until it is sent again, in milliseconds: at least, and at most.
const LOST_MS: (u64, u64) = (50, 400);

impl Proxy {
    /// Listens on a port of its own, and goes on to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let port = free_port();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("a free port is free");
        let state = Arc::new(watch::channel(State { weather: Weather::Clear, age: 0 }).0);
        tokio::spawn(accept(listener, target, Arc::clone(&state)));
        Self { port, state }
    }

    /// Where a service connects instead.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Changes the weather, for what stands and what comes.
    pub(crate) fn set(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }

    /// Ends all connections with RST.
    pub(crate) fn reset(&self) {
        self.state.send_modify(|state| state.age += 1);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<watch::Sender<State>>) {
    let mut number = 0;
    while let Ok((near, _)) = listener.accept().await {
        number += 1;
        tokio::spawn(connection(near, target, state.subscribe(), number));
    }
}

/// One connection, from its beginning to its end.
async fn connection(near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>, number: u64) {
    let age = state.borrow().age;
    // In a partition nobody answers; the service waits.
    let may_pass = |state: &State| state.weather != Weather::Partition || state.age != age;
    if state.wait_for(may_pass).await.is_err() {
        return;
    }
    let Ok(socket) = TcpSocket::new_v4() else { return };
    let Ok(far) = socket.connect(target).await else { return };
    for stream in [&near, &far] {
        let _ = stream.set_nodelay(true);
    }
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let mut out = Pump {
        from: near_in,
        to: far_out,
        way: Way::Out,
        state: state.clone(),
        age,
        dice: Dice::seeded(number),
    };
    let mut back = Pump {
        from: far_in,
        to: near_out,
        way: Way::In,
        state: state.clone(),
        age,
        dice: Dice::seeded(!number),
    };
    let end = tokio::select! {
        end = out.run() => end,
        end = back.run() => end,
    };
    match end {
        // The service hears nothing more, and is told nothing, until it gives up by itself or is reset.
        End::Silent => {
            drop((back.from, out.to));
            let mut rest = [0; PIECE_BYTES];
            loop {
                tokio::select! {
                    read = out.from.read(&mut rest) => match read {
                        Ok(0) | Err(_) => break,
                        Ok(_) => {}
                    },
                    changed = state.changed() => {
                        if changed.is_err() || state.borrow().weather != Weather::HalfOpen {
                            break;
                        }
                    }
                }
            }
            reset(out.from, back.to);
        }
        End::Reset => reset(out.from, back.to),
        End::Over => {}
    }
}

/// Ends a connection with RST instead of FIN.
fn reset(read: OwnedReadHalf, write: OwnedWriteHalf) {
    if let Ok(stream) = read.reunite(write) {
        let _ = stream.set_zero_linger();
    }
}

/// Why a connection ends.
enum End {
    /// One of both sides has ended it.
    Over,
    Reset,
    /// Only the far side.
    Silent,
}

struct Pump {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    way: Way,
    state: watch::Receiver<State>,
    age: u64,
    dice: Dice,
}

impl Pump {
    async fn run(&mut self) -> End {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let count = tokio::select! {
                read = self.from.read(&mut piece) => match read {
                    Ok(0) | Err(_) => return End::Over,
                    Ok(count) => count,
                },
                end = ended(&mut self.state, self.age) => return end,
            };
            if let Some(end) = self.weather().await {
                return end;
            }
            let is_cut = self.way == Way::Out
                && self.state.borrow().weather == Weather::CutCommits
                && piece[..count].windows(6).any(|bytes| bytes == b"COMMIT");
            if self.to.write_all(&piece[..count]).await.is_err() {
                return End::Over;
            }
            if is_cut {
                return End::Reset;
            }
        }
    }

    /// Lets a piece wait as long as the weather wants it.
    async fn weather(&mut self) -> Option<End> {
        let mut waited = false;
        loop {
            let State { weather, age } = *self.state.borrow_and_update();
            if age != self.age {
                return Some(End::Reset);
            }
            let ms = match (weather, self.way) {
                (Weather::HalfOpen, _) => return Some(End::Silent),
                (Weather::Partition, _) | (Weather::NothingOut, Way::Out) | (Weather::NothingIn, Way::In) => {
                    if self.state.changed().await.is_err() {
                        return Some(End::Over);
                    }
                    continue;
                }
                (Weather::Delay(ms), _) if !waited => ms / 2 + self.dice.below(ms),
                (Weather::Loss(share), _) if !waited && self.dice.below(100) < share => {
                    LOST_MS.0 + self.dice.below(LOST_MS.1 - LOST_MS.0)
                }
                _ => return None,
            };
            waited = true;
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

/// Waits until a connection that is idle has to end.
async fn ended(state: &mut watch::Receiver<State>, age: u64) -> End {
    let found = state.wait_for(|state| state.age != age || state.weather == Weather::HalfOpen).await;
    match found {
        Ok(state) if state.age == age => End::Silent,
        Ok(_) => End::Reset,
        Err(_) => End::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything back.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn says_back(stream: &mut TcpStream, text: &[u8]) -> bool {
        let mut back = vec![0; text.len()];
        stream.write_all(text).await.is_ok() && stream.read_exact(&mut back).await.is_ok() && back == text
    }

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap()
    }

    #[tokio::test]
    async fn a_partition_holds_everything_back_and_loses_nothing() {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = connect(&proxy).await;
        assert!(says_back(&mut stream, b"before").await);
        for weather in [Weather::Partition, Weather::NothingOut, Weather::NothingIn] {
            proxy.set(weather);
            let silence = Duration::from_millis(100);
            let mut back = [0; 6];
            stream.write_all(b"during").await.unwrap();
            assert!(
                tokio::time::timeout(silence, stream.read_exact(&mut back)).await.is_err(),
                "{weather:?}"
            );
            proxy.set(Weather::Clear);
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"during");
        }
    }

    #[tokio::test]
    async fn delay_and_loss_lose_nothing() {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = connect(&proxy).await;
        for weather in [Weather::Delay(20), Weather::Loss(50)] {
            proxy.set(weather);
            let text: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[0]).collect();
            assert!(says_back(&mut stream, &text).await, "{weather:?}");
        }
    }

    #[tokio::test]
    async fn a_reset_ends_what_stands_and_a_half_open_one_is_silent() {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = connect(&proxy).await;
        assert!(says_back(&mut stream, b"before").await);
        proxy.reset();
        assert!(stream.read_u8().await.is_err());
        let mut stream = connect(&proxy).await;
        assert!(says_back(&mut stream, b"again").await);
        proxy.set(Weather::HalfOpen);
        stream.write_all(b"into the void").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await.is_err());
        proxy.set(Weather::Clear);
        assert!(stream.read_u8().await.is_err(), "it is reset when the fault ends");
        assert!(says_back(&mut connect(&proxy).await, b"new ones are fine").await);
    }

    #[tokio::test]
    async fn a_commit_arrives_and_its_answer_does_not() {
        let proxy = Proxy::to(echo().await).await;
        proxy.set(Weather::CutCommits);
        let mut stream = connect(&proxy).await;
        assert!(says_back(&mut stream, b"INSERT").await);
        assert!(!says_back(&mut stream, b"COMMIT").await);
    }
}
