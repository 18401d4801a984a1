//! LiteLLM and Portkey in front of the same stand-in. LiteLLM records every interaction into a file through a callback of
//! its own kind; Portkey's gateway records nothing. Both are installed from their registries when they are missing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::load::Request;
use super::{SATURATED, body, row};

const LITELLM: &str = "litellm[proxy]==1.106.2";
/// The longest that a peer may take to start.
const START: Duration = Duration::from_mins(2);

pub(super) async fn measure(table: &mut String, standin: &str) -> anyhow::Result<()> {
    let home = install()?;
    let port = free_port()?;
    let sink = tempfile::NamedTempFile::new()?;
    let litellm = Command::new(home.join("litellm/bin/litellm"))
        .args([
            "--host",
            "127.0.0.1",
            "--num_workers",
            "1",
            "--port",
            &port.to_string(),
        ])
        .args(["--config", "litellm.yaml"])
        .current_dir(&home)
        .env("STANDIN_BASE", format!("http://{standin}/v1"))
        .env("HONE_SINK", sink.path())
        .envs([
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            ("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True"),
            ("LITELLM_LOCAL_BLOG_POSTS", "True"),
            ("LITELLM_LOCAL_POLICY_TEMPLATES", "True"),
            ("LITELLM_LOG", "ERROR"),
            ("LITELLM_MODE", "PRODUCTION"),
        ])
        .env_remove("DATABASE_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let litellm = Peer(litellm.context("LiteLLM does not start")?);
    let address = format!("127.0.0.1:{port}");
    wait_for(&address, "/health/readiness").await?;
    let request = |is_streamed| {
        let headers = "Authorization: Bearer sk-bench\r\n";
        Request::post(
            &address,
            "/v1/chat/completions",
            headers,
            &body("bench", is_streamed),
        )
    };
    rows(table, "LiteLLM, recording on", &litellm, request).await?;
    drop(litellm);

    let port = free_port()?;
    let portkey = Command::new("node")
        .arg(home.join("portkey/node_modules/@portkey-ai/gateway/build/start-server.js"))
        .args([&format!("--port={port}"), "--headless"])
        .env("NODE_ENV", "production")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let portkey = Peer(portkey.context("Portkey does not start")?);
    let address = format!("127.0.0.1:{port}");
    wait_for(&address, "/").await?;
    let headers = format!(
        "Authorization: Bearer sk-standin\r\nx-portkey-provider: openai\r\nx-portkey-custom-host: http://{standin}/v1\r\n"
    );
    let request = |is_streamed| {
        Request::post(
            &address,
            "/v1/chat/completions",
            &headers,
            &body("gpt-4o-mini", is_streamed),
        )
    };
    rows(table, "Portkey, records nothing", &portkey, request).await
}

async fn rows(
    table: &mut String,
    through: &str,
    peer: &Peer,
    request: impl Fn(bool) -> Request,
) -> anyhow::Result<()> {
    use std::fmt::Write as _;
    for (what, is_streamed) in SATURATED {
        row(table, what, through, &request(is_streamed)).await?;
    }
    writeln!(
        table,
        "| resident after this load, MiB | {through} | {:.0} | | |",
        peer.resident_mb()
    )?;
    Ok(())
}

/// Installs both peers where they are missing; gives their folder.
#[expect(
    clippy::disallowed_methods,
    reason = "the folder of caches is in the environment"
)]
fn install() -> anyhow::Result<PathBuf> {
    let home = PathBuf::from(std::env::var("HOME")?).join(".cache/hone-peer-gateway");
    let portkey = home.join("portkey");
    std::fs::create_dir_all(&portkey)?;
    std::fs::write(home.join("litellm.yaml"), include_str!("peers/litellm.yaml"))?;
    std::fs::write(home.join("hone_sink.py"), include_str!("peers/hone_sink.py"))?;
    std::fs::write(portkey.join("package.json"), include_str!("peers/package.json"))?;
    std::fs::write(
        portkey.join("package-lock.json"),
        include_str!("peers/package-lock.json"),
    )?;
    if !home.join("litellm/bin/litellm").exists() {
        run(Command::new("python3")
            .args(["-m", "venv", "litellm"])
            .current_dir(&home))?;
        run(Command::new("litellm/bin/pip")
            .args(["install", "--quiet", LITELLM])
            .current_dir(&home))?;
    }
    if !portkey.join("node_modules/@portkey-ai/gateway").exists() {
        run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--silent"])
            .current_dir(&portkey))?;
    }
    Ok(home)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn wait_for(address: &str, path: &str) -> anyhow::Result<()> {
    let (client, url) = (reqwest::Client::new(), format!("http://{address}{path}"));
    let end = Instant::now() + START;
    while Instant::now() < end {
        if client
            .get(&url)
            .send()
            .await
            .is_ok_and(|response| response.status().is_success())
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    anyhow::bail!("{url} did not answer in {START:?}")
}

/// A peer's process, ended with this value.
struct Peer(Child);

impl Peer {
    /// Memory of the process and its children.
    fn resident_mb(&self) -> f64 {
        let mut sum = resident_mb(self.0.id());
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
            if parent == Some(self.0.id())
                && let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            {
                sum += resident_mb(id);
            }
        }
        sum
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn resident_mb(process: u32) -> f64 {
    crate::bench::server::resident_mb_of(Path::new("/proc").join(process.to_string()).as_path())
}
