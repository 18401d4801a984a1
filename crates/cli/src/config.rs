//! Configuration: a TOML file, then the environment, then the command line; the later wins.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use confique::Config as _;

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
    pub log: Log,
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
        ] {
            if !(least..=most).contains(&value) {
                return refuse(setting, &format!("is {value}; give {least} to {most}"));
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
        if !known.contains(&key) {
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
