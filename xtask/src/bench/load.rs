//! Load: the same request over many connections, as fast as they answer or at a fixed rate.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A request to an address.
#[derive(Clone)]
pub(crate) struct Request {
    pub address: String,
    /// Head and body as they are sent.
    pub bytes: Vec<u8>,
    /// The beginning of the answers that count.
    pub status: &'static str,
}

impl Request {
    /// `POST`s JSON with headers that each end in a line end.
    pub fn post(address: &str, path: &str, headers: &str, body: &str) -> Self {
        let bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            address: address.to_owned(),
            bytes: bytes.into_bytes(),
            status: "HTTP/1.1 200",
        }
    }
}

/// What was answered, with the milliseconds to the first byte of the body and to the end of each answer.
#[derive(Default)]
pub(crate) struct Answers {
    pub seconds: f64,
    first_ms: Vec<f64>,
    whole_ms: Vec<f64>,
}

impl Answers {
    pub fn count(&self) -> usize {
        self.whole_ms.len()
    }

    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.seconds
    }

    /// Time to the end of an answer that this share of answers does not exceed, in milliseconds.
    pub fn whole_ms(&self, share: f64) -> f64 {
        quantile(&self.whole_ms, share)
    }

    /// The same to the first byte of the body.
    pub fn first_ms(&self, share: f64) -> f64 {
        quantile(&self.first_ms, share)
    }
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// Sends over all connections for a while; with `pause`, each connection sends once in that time.
pub(crate) async fn run(
    request: &Request,
    connections: usize,
    seconds: u64,
    pause: Option<Duration>,
) -> anyhow::Result<Answers> {
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let mut drivers = JoinSet::new();
    for number in 0..connections {
        let offset = pause.map(|pause| pause.mul_f64(number as f64 / connections as f64));
        drivers.spawn(drive(request.clone(), end, pause, offset));
    }
    let mut answers = Answers::default();
    while let Some(done) = drivers.join_next().await {
        let (first, whole) = done??;
        answers.first_ms.extend(first);
        answers.whole_ms.extend(whole);
    }
    answers.seconds = start.elapsed().as_secs_f64();
    Ok(answers)
}

async fn drive(
    request: Request,
    end: Instant,
    pause: Option<Duration>,
    offset: Option<Duration>,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let mut stream = TcpStream::connect(&request.address).await?;
    stream.set_nodelay(true)?;
    tokio::time::sleep(offset.unwrap_or_default()).await;
    let mut buffer = Vec::with_capacity(16_384);
    let (mut first, mut whole) = (Vec::new(), Vec::new());
    while Instant::now() < end {
        let start = Instant::now();
        stream.write_all(&request.bytes).await?;
        first.push(answer(&mut stream, &mut buffer, request.status, start).await?);
        whole.push(start.elapsed().as_secs_f64() * 1e3);
        if let Some(pause) = pause {
            tokio::time::sleep_until((start + pause).into()).await;
        }
    }
    Ok((first, whole))
}

/// Reads one answer to its end; gives the milliseconds to the first byte of its body.
async fn answer(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    status: &str,
    start: Instant,
) -> anyhow::Result<f64> {
    buffer.clear();
    let head = loop {
        let read = stream.read_buf(buffer).await?;
        anyhow::ensure!(read > 0, "the server closed the connection");
        if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break head + 4;
        }
    };
    anyhow::ensure!(
        buffer.starts_with(status.as_bytes()),
        "{}",
        String::from_utf8_lossy(buffer)
    );
    let length = content_length(&buffer[..head]);
    let mut first_ms = None;
    loop {
        if buffer.len() > head && first_ms.is_none() {
            first_ms = Some(start.elapsed().as_secs_f64() * 1e3);
        }
        let is_whole = match length {
            Some(length) => buffer.len() >= head + length,
            None => buffer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if is_whole {
            return first_ms.context("an answer without a body");
        }
        let read = stream.read_buf(buffer).await?;
        anyhow::ensure!(read > 0, "the server closed the connection");
    }
}

/// The length that a head announces.
pub(crate) fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    })
}

/// Opens streams that stay open after their first event; they close when the set is dropped.
pub(crate) async fn open_streams(request: &Request, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    let mut buffer = Vec::with_capacity(4_096);
    for _ in 0..count {
        let mut stream = TcpStream::connect(&request.address).await?;
        stream.write_all(&request.bytes).await?;
        buffer.clear();
        while !buffer.windows(6).any(|window| window == b"data: ") {
            anyhow::ensure!(
                stream.read_buf(&mut buffer).await? > 0,
                "the server closed the connection: {}",
                String::from_utf8_lossy(&buffer)
            );
        }
        open.push(stream);
    }
    Ok(open)
}
