//! Calling out: telling people by e-mail, signed webhook and chat, and the guard that keeps URLs which tenants name away from
//! private addresses.
//!
//! `engine` gives a [`Notice`] and a [`Target`] and is told whether trying again can help; the log of deliveries and the retries
//! are its own. `gateway` uses the guard for providers that projects bring. Knows no database.

mod email;
pub mod guard;
mod notice;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};

pub use email::{SmtpSettings, SmtpTls};
pub use notice::Notice;
pub use webhook::{shown_key, signature};

use email::Mailer;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(20);

/// How to call out.
#[derive(Debug, Clone, Default)]
pub struct OutboundSettings {
    /// The mail server; none where mail cannot be sent.
    pub smtp: Option<SmtpSettings>,
    /// Whether URLs may lead to private addresses.
    pub allow_private: bool,
}

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOutbound {
    /// A setting of the mail server cannot work.
    #[error("{0}")]
    Smtp(String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Where a notice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Email(String),
    /// A URL that gets a signed JSON message.
    Webhook {
        /// Where.
        url: String,
        /// What it is signed with.
        key: [u8; 32],
    },
    /// A URL that takes Slack's format.
    Slack(String),
}

/// Why a notice did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Trying again may help.
    #[error("{0}")]
    Transient(String),
    /// Trying again does not help.
    #[error("{0}")]
    Permanent(String),
}

/// Sends notices. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client,
    mailer: Option<Arc<Mailer>>,
    allow_private: bool,
}

impl Outbound {
    /// Checks the settings; nothing is sent yet.
    pub fn new(settings: &OutboundSettings) -> Result<Self, InvalidOutbound> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy();
        let client = if settings.allow_private {
            client.build()?
        } else {
            guard::guarded(client)?
        };
        let mailer = settings.smtp.as_ref().map(Mailer::new).transpose()?;
        Ok(Self {
            client,
            mailer: mailer.map(Arc::new),
            allow_private: settings.allow_private,
        })
    }

    /// Why a target cannot be used, in words; nothing where it can.
    pub fn problem_of(&self, target: &Target) -> Option<String> {
        match target {
            Target::Email(_) if self.mailer.is_none() => {
                Some("no mail server is configured; set alerts.smtp in hone.toml".to_owned())
            }
            Target::Email(address) => email::problem_of(address),
            Target::Webhook { url, .. } | Target::Slack(url) => match Url::parse(url) {
                Err(error) => Some(format!("is no URL ({error}); give https://…")),
                Ok(_) if self.allow_private => None,
                Ok(url) => guard::problem_of(&url),
            },
        }
    }

    /// Sends a notice once.
    pub async fn send(&self, target: &Target, notice: &Notice) -> Result<(), SendError> {
        if let Some(problem) = self.problem_of(target) {
            return Err(SendError::Permanent(problem));
        }
        match (target, &self.mailer) {
            (Target::Email(address), Some(mailer)) => mailer.send(address, notice).await,
            (Target::Email(_), None) => Err(SendError::Permanent("no mail server is configured".to_owned())),
            (Target::Webhook { url, key }, _) => webhook::send(&self.client, url, key, notice).await,
            (Target::Slack(url), _) => webhook::send_slack(&self.client, url, notice).await,
        }
    }
}
