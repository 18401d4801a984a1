//! Configuration: a TOML file, then the environment, then the command line; the later wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use confique::Config as _;
use hone_domain::ProviderKind;
use hone_gateway::{GatewaySettings, Price, ProviderSettings, Secret};
use hone_outbound::{Outbound, OutboundSettings, SmtpSettings, SmtpTls};

use crate::args::Args;

/// Everything an installation may set.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Config {
    /// Folder of the database and of models and datasets.
    #[config(env = "HONE_DATA", default = "data")]
    pub data: PathBuf,

    /// Database: a file, or `postgres://user:password@host/name`. By default `hone.sqlite` in the data folder.
    #[config(env = "HONE_DATABASE")]
    pub database: Option<String>,

    /// Project that commands work in and that the page shows.
    #[config(env = "HONE_PROJECT", default = "default")]
    pub project: String,

    #[config(nested)]
    pub server: Server,

    #[config(nested)]
    pub recorder: Recorder,

    #[config(nested)]
    pub jobs: Jobs,

    #[config(nested)]
    pub gateway: Gateway,

    #[config(nested)]
    pub alerts: Alerts,

    #[config(nested)]
    pub log: Log,

    #[config(nested)]
    pub telemetry: Telemetry,
}

/// Passing requests on to models.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Gateway {
    /// Providers by name, each a table: `[gateway.providers.openai]` with `kind` (openai, azure or anthropic), `base_url`,
    /// and `api_key_env` (a variable of the environment) or `api_key_file`; for Azure also `api_version`.
    #[config(default = {})]
    pub providers: BTreeMap<String, ProviderTable>,

    /// Prices that go before the shipped ones, in USD per million tokens, such as
    /// `{ provider = "openai", model = "gpt-4o", input = 2.5, output = 10.0, cached_input = 1.25 }`.
    #[config(default = [])]
    pub prices: Vec<Price>,

    /// Task of requests that name none; it is made with the first of them.
    #[config(env = "HONE_GATEWAY_DEFAULT_TASK", default = "gateway")]
    pub default_task: String,

    /// How long a connection to a provider may take, in milliseconds.
    #[config(env = "HONE_GATEWAY_CONNECT_TIMEOUT_MS", default = 10000)]
    pub connect_timeout_ms: u64,

    /// The largest reply that is taken, in bytes.
    #[config(env = "HONE_GATEWAY_MAX_REPLY_BYTES", default = 67_108_864)]
    pub max_reply_bytes: usize,

    /// Whether providers that projects bring themselves may have private addresses.
    #[config(env = "HONE_GATEWAY_ALLOW_PRIVATE_PROVIDERS", default = false)]
    pub allow_private_providers: bool,
}

/// A provider as configured.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderTable {
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// Where its API is.
    pub base_url: Option<String>,
    /// The variable of the environment that holds its key.
    pub api_key_env: Option<String>,
    /// The file that holds its key.
    pub api_key_file: Option<PathBuf>,
    /// Azure's API version.
    pub api_version: Option<String>,
    /// Whether streams are asked for their count of tokens; turn it off for servers that refuse `stream_options`.
    #[serde(default = "yes")]
    pub count_streamed_tokens: bool,
}

fn yes() -> bool {
    true
}

impl ProviderTable {
    fn resolve(&self, name: &str) -> anyhow::Result<ProviderSettings> {
        let setting = |field: &str| format!("gateway.providers.{name}.{field}");
        let base_url = match (&self.base_url, self.kind) {
            (Some(url), _) => url.clone(),
            (None, ProviderKind::OpenAi) => "https://api.openai.com/v1".to_owned(),
            (None, ProviderKind::Anthropic) => "https://api.anthropic.com".to_owned(),
            (None, ProviderKind::Azure) => anyhow::bail!(
                "{}: is missing; give https://<resource>.openai.azure.com",
                setting("base_url")
            ),
        };
        let place = format!("gateway.providers.{name}.api_key");
        let api_key = read_secret(&place, self.api_key_env.as_deref(), self.api_key_file.as_deref())?;
        Ok(ProviderSettings {
            kind: self.kind,
            base_url,
            api_key: api_key.as_deref().map(Secret::new),
            api_version: self.api_version.clone(),
            counts_streamed_tokens: self.count_streamed_tokens,
        })
    }
}

/// Reads what a variable of the environment or a file holds; `place` names the two settings without their ends.
fn read_secret(place: &str, variable: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match (variable, file) {
        (Some(_), Some(_)) => anyhow::bail!("{place}_env: give this or {place}_file"),
        (Some(variable), None) => {
            #[expect(clippy::disallowed_methods, reason = "the cli is what reads the environment")]
            let value = std::env::var(variable);
            let value = value.ok().filter(|value| !value.trim().is_empty());
            let missing = || format!("{place}_env: the variable {variable} is not set");
            Ok(Some(value.with_context(missing)?))
        }
        (None, Some(file)) => {
            let unreadable = || format!("{place}_file: {} cannot be read", file.display());
            let value = std::fs::read_to_string(file).with_context(unreadable)?;
            Ok(Some(value.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// Telling people what is wrong.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Alerts {
    /// The mail server, a table `[alerts.smtp]` with `host`, `from`, and where they differ from the usual `port`, `tls` (starttls,
    /// implicit or none), `user`, and `password_env` (a variable of the environment) or `password_file`.
    pub smtp: Option<SmtpTable>,

    /// Whether webhooks may lead to private addresses.
    #[config(env = "HONE_ALERTS_ALLOW_PRIVATE_URLS", default = false)]
    pub allow_private_urls: bool,
}

/// A mail server as configured.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SmtpTable {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
    /// How the connection is kept from others.
    #[serde(default)]
    pub tls: SmtpTls,
    /// Whom it knows us as.
    pub user: Option<String>,
    /// The variable of the environment that holds the password.
    pub password_env: Option<String>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Whom mails come from.
    pub from: String,
}

impl Alerts {
    /// Checks the settings and makes the way to people.
    pub fn resolve(&self) -> anyhow::Result<Outbound> {
        let smtp = self.smtp.as_ref().map(SmtpTable::resolve).transpose()?;
        let settings = OutboundSettings {
            smtp,
            allow_private: self.allow_private_urls,
        };
        Ok(Outbound::new(&settings)?)
    }
}

impl SmtpTable {
    fn resolve(&self) -> anyhow::Result<SmtpSettings> {
        let file = self.password_file.as_deref();
        let password = read_secret("alerts.smtp.password", self.password_env.as_deref(), file)?;
        let credentials = match (&self.user, password) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (None, None) => None,
            (Some(_), None) => anyhow::bail!("alerts.smtp.password_env: is missing beside user"),
            (None, Some(_)) => anyhow::bail!("alerts.smtp.user: is missing beside the password"),
        };
        Ok(SmtpSettings {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls,
            credentials,
            from: self.from.clone(),
        })
    }
}

impl Gateway {
    /// Refuses settings that the server would refuse when it starts.
    pub fn check(&self) -> anyhow::Result<()> {
        Ok(self.resolve()?.check()?)
    }

    /// Reads the providers' keys.
    pub fn resolve(&self) -> anyhow::Result<GatewaySettings> {
        let mut providers = BTreeMap::new();
        for (name, table) in &self.providers {
            providers.insert(name.clone(), table.resolve(name)?);
        }
        Ok(GatewaySettings {
            providers,
            prices: self.prices.clone(),
            default_task: self.default_task.clone(),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            max_reply_bytes: self.max_reply_bytes,
            allow_private_providers: self.allow_private_providers,
        })
    }
}

/// The HTTP server.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Server {
    /// Address and port to listen on. On any address but the loopback the page asks for an API key.
    #[config(env = "HONE_LISTEN", default = "127.0.0.1:8080")]
    pub listen: String,
}

/// The queue of interactions and feedback.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Recorder {
    /// Bytes that may wait to be written; when more come, clients get 429 and a Retry-After.
    #[config(env = "HONE_RECORDER_QUEUE_BYTES", default = 67_108_864)]
    pub queue_bytes: usize,

    /// Rows that are written in one transaction at most.
    #[config(env = "HONE_RECORDER_GROUP_ROWS", default = 2000)]
    pub group_rows: usize,
}

/// Background work.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Jobs {
    /// Jobs that one process runs at a time. Training uses all cores by itself.
    #[config(env = "HONE_JOBS_CONCURRENCY", default = 2)]
    pub concurrency: usize,
}

/// The log on standard error.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Log {
    /// What is logged, such as `info` or `warn,hone_engine=debug`.
    #[config(env = "HONE_LOG", default = "info")]
    pub level: String,

    /// One JSON object a line in place of text.
    #[config(env = "HONE_LOG_JSON", default = false)]
    pub json: bool,
}

/// Traces of requests, for those who collect them. Metrics are at `/metrics`.
#[derive(Debug, confique::Config, serde::Serialize)]
pub(crate) struct Telemetry {
    /// Where traces go by OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`; nowhere by default.
    #[config(env = "HONE_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Headers of the exports, such as `{ authorization = "Bearer …" }`.
    #[config(default = {})]
    #[serde(skip_serializing)]
    pub otlp_headers: BTreeMap<String, String>,
}

impl Config {
    /// Reads file, environment and command line.
    pub fn read(args: &Args) -> anyhow::Result<Self> {
        let file = args.config.clone().unwrap_or_else(|| PathBuf::from("hone.toml"));
        if args.config.is_some() && !file.exists() {
            anyhow::bail!("the configuration file {} does not exist", file.display());
        }
        refuse_unknown_keys(&file)?;
        let mut config = Self::builder()
            .env()
            .file(&file)
            .load()
            .context("the configuration cannot be read")?;
        if let Some(data) = &args.data {
            config.data.clone_from(data);
        }
        if let Some(database) = &args.database {
            config.database = Some(database.clone());
        }
        if let Some(project) = &args.project {
            config.project.clone_from(project);
        }
        config.check()?;
        Ok(config)
    }

    /// Refuses what cannot work, by the name of the setting.
    fn check(&self) -> anyhow::Result<()> {
        let refuse = |setting: &str, problem: &str| Err(anyhow::anyhow!("{setting}: {problem}"));
        let port = self
            .server
            .listen
            .rsplit_once(':')
            .map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            let problem = format!(
                "\"{}\" is no address; write it like 127.0.0.1:8080",
                self.server.listen
            );
            return refuse("server.listen", &problem);
        }
        if let Some((scheme, _)) = self.database_url().split_once("://")
            && !matches!(scheme, "postgres" | "postgresql")
        {
            let problem = format!("\"{scheme}\" is not known; give a file, or postgres://…");
            return refuse("database", &problem);
        }
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|character| character.is_alphanumeric() || "-_.".contains(character))
        };
        if !is_name(&self.project) {
            let problem = format!("\"{}\" is no name; use letters, digits, - _ and .", self.project);
            return refuse("project", &problem);
        }
        for (setting, value, least, most) in [
            (
                "recorder.queue_bytes",
                self.recorder.queue_bytes,
                1 << 20,
                1 << 40,
            ),
            ("recorder.group_rows", self.recorder.group_rows, 1, 100_000),
            ("jobs.concurrency", self.jobs.concurrency, 1, 256),
            (
                "gateway.max_reply_bytes",
                self.gateway.max_reply_bytes,
                1 << 10,
                1 << 32,
            ),
        ] {
            if !(least..=most).contains(&value) {
                return refuse(setting, &format!("is {value}; give {least} to {most}"));
            }
        }
        if let Some(endpoint) = &self.telemetry.otlp_endpoint
            && !reqwest::Url::parse(endpoint)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        {
            let problem = format!("\"{endpoint}\" is no URL; write it like http://127.0.0.1:4318/v1/traces");
            return refuse("telemetry.otlp_endpoint", &problem);
        }
        if !(1..=600_000).contains(&self.gateway.connect_timeout_ms) {
            return refuse("gateway.connect_timeout_ms", "give 1 to 600000 milliseconds");
        }
        for name in [&self.gateway.default_task]
            .into_iter()
            .chain(self.gateway.providers.keys())
        {
            if !is_name(name) {
                let problem = format!("\"{name}\" is no name; use letters, digits, - _ and .");
                return refuse("gateway", &problem);
            }
        }
        if !is_log_level(&self.log.level) {
            let problem = format!(
                "\"{}\" is no level; give error, warn, info, debug or trace, or parts such as warn,hone_engine=debug",
                self.log.level
            );
            return refuse("log.level", &problem);
        }
        Ok(())
    }

    /// Where the database is.
    pub fn database_url(&self) -> String {
        self.database
            .clone()
            .unwrap_or_else(|| self.data.join("hone.sqlite").display().to_string())
    }

    /// Where the database is, without a password, for people and logs.
    pub fn shown_database(&self) -> String {
        let url = self.database_url();
        match url.split_once("://").zip(url.rsplit_once('@')) {
            Some(((scheme, _), (_, host))) => format!("{scheme}://…@{host}"),
            None => url,
        }
    }

    /// Where models and datasets are.
    pub fn artifact_folder(&self) -> PathBuf {
        self.data.join("artifacts")
    }

    /// A configuration file with every setting, its meaning and its default.
    pub fn template() -> String {
        confique::toml::template::<Self>(confique::toml::FormatOptions::default())
    }
}

/// Whether every part is a level, or a module with one: a word that is none would switch the log off in silence.
fn is_log_level(given: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    given.split(',').all(|part| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        LEVELS.contains(&level.trim().to_ascii_lowercase().as_str())
    })
}

/// A misspelt setting would otherwise be ignored in silence.
fn refuse_unknown_keys(file: &Path) -> anyhow::Result<()> {
    let Ok(text) = std::fs::read_to_string(file) else {
        return Ok(());
    };
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("{} is no TOML", file.display()))?;
    let known = known_keys(&Config::META, "");
    for key in given_keys(&table, "") {
        let is_inside = |table: &String| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        if !known.contains(&key) && !known.iter().any(is_inside) {
            anyhow::bail!(
                "{}: \"{key}\" is no setting; known are {}",
                file.display(),
                known.join(", ")
            );
        }
    }
    Ok(())
}

fn given_keys(table: &toml::Table, prefix: &str) -> Vec<String> {
    table
        .iter()
        .flat_map(|(name, value)| match value {
            toml::Value::Table(inner) => given_keys(inner, &format!("{prefix}{name}.")),
            _ => vec![format!("{prefix}{name}")],
        })
        .collect()
}

fn known_keys(meta: &confique::meta::Meta, prefix: &str) -> Vec<String> {
    meta.fields
        .iter()
        .flat_map(|field| match &field.kind {
            confique::meta::FieldKind::Leaf { .. } => vec![format!("{prefix}{}", field.name)],
            confique::meta::FieldKind::Nested { meta } => {
                known_keys(meta, &format!("{prefix}{}.", field.name))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_complete_and_stays_the_same() {
        insta::assert_snapshot!(Config::template());
    }

    #[test]
    fn values_that_cannot_work_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hone.toml");
        for (text, setting) in [
            ("server.listen = \"foo\"", "server.listen"),
            ("server.listen = \"127.0.0.1:99999\"", "server.listen"),
            ("database = \"mysql://x\"", "database"),
            ("project = \"bad name/\"", "project"),
            ("recorder.queue_bytes = 0", "recorder.queue_bytes"),
            ("jobs.concurrency = 0", "jobs.concurrency"),
            ("log.level = \"nonsense\"", "log.level"),
        ] {
            std::fs::write(&file, text).unwrap();
            let args =
                <Args as clap::Parser>::parse_from(["hone", "--config", file.to_str().unwrap(), "doctor"]);
            let error = format!("{:#}", Config::read(&args).unwrap_err());
            assert!(error.starts_with(setting), "{text}: {error}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let args = <Args as clap::Parser>::parse_from([
            "hone",
            "--database",
            "postgres://me:pa@ss@db/hone",
            "doctor",
        ]);
        assert_eq!(
            Config::read(&args).unwrap().shown_database(),
            "postgres://…@db/hone"
        );
    }

    #[test]
    fn a_misspelt_setting_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hone.toml");
        std::fs::write(&file, "project = \"a\"\n[server]\nlisen = \"127.0.0.1:1\"\n").unwrap();
        let error = refuse_unknown_keys(&file).unwrap_err().to_string();
        assert!(error.contains("\"server.lisen\" is no setting"), "{error}");
    }
}
