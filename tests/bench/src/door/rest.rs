//! `POST /v1/orders` over connections that are kept open, one request at a time on each.
//!
//! Invariant: a connection that breaks is reported as an answer with status 0, and made again.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1::SendRequest, header::RETRY_AFTER};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

use super::Answer;

/// Longer than the longest wait that is asked for; then nobody will answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where and as whom orders are placed.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// The listeners of the orchestrators, as host:port.
    pub(crate) listeners: Vec<SocketAddr>,
    /// The header `Authorization`.
    pub(crate) authorization: String,
    /// The header `Prefer`; none does not wait for the end.
    pub(crate) prefer: Option<String>,
    /// Most connections.
    pub(crate) connections_max: usize,
}

struct Order {
    number: u64,
    body: Vec<u8>,
    key: String,
}

/// Some connections.
pub(crate) struct Rest {
    address: Address,
    workers: Vec<mpsc::UnboundedSender<Order>>,
    idle: Vec<usize>,
    /// Orders that wait for a connection.
    waiting: VecDeque<Order>,
    answered: mpsc::UnboundedReceiver<(usize, Answer)>,
    answers: mpsc::UnboundedSender<(usize, Answer)>,
}

impl Rest {
    pub(crate) fn new(address: Address) -> Self {
        let (answers, answered) = mpsc::unbounded_channel();
        let (workers, idle, waiting) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { address, workers, idle, waiting, answered, answers }
    }

    pub(crate) fn push(&mut self, number: u64, body: Vec<u8>, key: &str) {
        self.waiting.push_back(Order { number, body, key: key.to_owned() });
        self.hand_out();
    }

    pub(crate) async fn answers(&mut self, into: &mut Vec<Answer>) -> anyhow::Result<()> {
        let first = self.answered.recv().await.context("we hold a sender ourselves")?;
        let mut next = Some(first);
        while let Some((worker, answer)) = next {
            self.idle.push(worker);
            into.push(answer);
            next = self.answered.try_recv().ok();
        }
        self.hand_out();
        Ok(())
    }

    pub(crate) fn backlog(&self) -> usize {
        self.waiting.len()
    }

    fn hand_out(&mut self) {
        while !self.waiting.is_empty() {
            let Some(worker) = self.idle.pop().or_else(|| self.grow()) else { return };
            if let Some(order) = self.waiting.pop_front() {
                let _ = self.workers[worker].send(order);
            }
        }
    }

    /// One connection more.
    fn grow(&mut self) -> Option<usize> {
        let worker = self.workers.len();
        if worker >= self.address.connections_max {
            return None;
        }
        let (sender, orders) = mpsc::unbounded_channel();
        let listener = self.address.listeners[worker % self.address.listeners.len()];
        tokio::spawn(work(worker, listener, self.address.clone(), orders, self.answers.clone()));
        self.workers.push(sender);
        Some(worker)
    }
}

async fn work(
    worker: usize,
    listener: SocketAddr,
    address: Address,
    mut orders: mpsc::UnboundedReceiver<Order>,
    answers: mpsc::UnboundedSender<(usize, Answer)>,
) {
    let mut connection = None;
    while let Some(order) = orders.recv().await {
        let number = order.number;
        let asking = ask(&mut connection, listener, &address, order);
        let asked = timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer")));
        let answer = asked.unwrap_or_else(|error| {
            connection = None;
            Answer { number, status: 0, retry_after_s: None, body: format!("{error:#}").into_bytes() }
        });
        if answers.send((worker, answer)).is_err() {
            return;
        }
    }
}

async fn ask(
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    listener: SocketAddr,
    address: &Address,
    order: Order,
) -> anyhow::Result<Answer> {
    // The listener may have closed it while it was idle.
    if connection.as_ref().is_none_or(SendRequest::is_closed) {
        let stream = TcpStream::connect(listener).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, running) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(running);
        *connection = Some(sender);
    }
    let sender = connection.as_mut().context("it was just made")?;
    let mut request = Request::post("/v1/orders")
        .header("host", listener.to_string())
        .header("authorization", &address.authorization)
        .header("idempotency-key", order.key)
        .header("content-type", "application/json");
    if let Some(prefer) = &address.prefer {
        request = request.header("prefer", prefer);
    }
    let request = request.body(Full::new(Bytes::from(order.body)))?;
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let retry_after_s =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.into_body().collect().await?.to_bytes().to_vec();
    Ok(Answer { number: order.number, status, retry_after_s, body })
}
