//! A provider that answers at once: the same reply every time, whole or as a stream of 19 events. It is a process of its
//! own, as providers are: within the process of the load an answer would take a third of the time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Events of a streamed answer, with the count of tokens and the end.
const EVENTS: usize = 19;

/// A stand-in that runs until this is dropped.
pub(super) struct StandIn {
    process: Child,
    pub address: String,
}

impl StandIn {
    pub fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("standin")
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("no output")?;
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address)?;
        Ok(Self {
            process,
            address: address.trim_end().to_owned(),
        })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves on a free port of the loopback, which it prints, until it is killed.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let (whole, stream) = (whole_reply(), streamed_reply());
        let mut connections = JoinSet::new();
        loop {
            let (connection, _) = listener.accept().await?;
            connections.spawn(serve(connection, whole.clone(), stream.clone()));
        }
    })
}

async fn serve(mut connection: TcpStream, whole: Vec<u8>, stream: Vec<u8>) -> anyhow::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4_096);
    loop {
        let length = loop {
            if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break head + 4 + super::super::load::content_length(&buffer[..head]).unwrap_or(0);
            }
            if connection.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        while buffer.len() < length {
            anyhow::ensure!(
                connection.read_buf(&mut buffer).await? > 0,
                "the client went away"
            );
        }
        let has = |text: &[u8]| buffer[..length].windows(text.len()).any(|window| window == text);
        if has(b"\"hold\"") {
            return hold(connection, &stream).await;
        }
        let reply = if has(b"\"stream\":true") { &stream } else { &whole };
        connection.write_all(reply).await?;
        buffer.drain(..length);
    }
}

/// Sends the first event and then nothing more.
async fn hold(mut connection: TcpStream, stream: &[u8]) -> anyhow::Result<()> {
    let head = stream
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("no head")?
        + 4;
    let event = chunk(&event_of("hello"));
    connection
        .write_all(&[&stream[..head], event.as_bytes()].concat())
        .await?;
    tokio::time::sleep(Duration::from_hours(1)).await;
    Ok(())
}

fn whole_reply() -> Vec<u8> {
    let body = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": "gpt-4o-mini",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "refusal": null,
            "content": "Your parcel left our house on Monday and should reach you within two days. You can follow it with the number in the message that we sent you.",
        } }],
        "usage": { "prompt_tokens": 31, "completion_tokens": 33, "total_tokens": 64, "prompt_tokens_details": { "cached_tokens": 0 } },
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn event_of(text: &str) -> String {
    let chunk = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "gpt-4o-mini",
        "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }],
    });
    format!("data: {chunk}\n\n")
}

fn streamed_reply() -> Vec<u8> {
    let mut reply = String::from(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    for number in 0..EVENTS - 3 {
        reply.push_str(&chunk(&event_of(&format!(" word{number}"))));
    }
    let last = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "gpt-4o-mini",
        "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }],
    });
    let usage = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "gpt-4o-mini",
        "choices": [], "usage": { "prompt_tokens": 31, "completion_tokens": 33, "total_tokens": 64 },
    });
    reply.push_str(&chunk(&format!("data: {last}\n\n")));
    reply.push_str(&chunk(&format!("data: {usage}\n\n")));
    reply.push_str(&chunk("data: [DONE]\n\n"));
    reply.push_str("0\r\n\r\n");
    reply.into_bytes()
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
