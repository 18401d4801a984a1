//! Notices as e-mails, over SMTP.

use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::{InvalidOutbound, Notice, SendError};

const TIMEOUT: Duration = Duration::from_secs(20);

/// How the connection to the mail server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// By TLS from the start, usually on port 465.
    Implicit,
    /// By STARTTLS, usually on port 587; refused where the server has none.
    #[default]
    Starttls,
    /// Not at all; for a server on the same machine.
    None,
}

/// A mail server.
#[derive(Clone)]
pub struct SmtpSettings {
    /// Its name.
    pub host: String,
    /// Its port; the usual one when absent.
    pub port: Option<u16>,
    /// How the connection is kept from others.
    pub tls: SmtpTls,
    /// Name and password; none where it asks for none.
    pub credentials: Option<(String, String)>,
    /// Whom mails come from, such as `Hone <hone@example.com>`.
    pub from: String,
}

impl std::fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    pub fn new(settings: &SmtpSettings) -> Result<Self, InvalidOutbound> {
        let refuse = |problem: String| InvalidOutbound::Smtp(problem);
        let from = settings.from.parse::<Mailbox>().map_err(|error| {
            refuse(format!(
                "alerts.smtp.from: \"{}\" is no address: {error}",
                settings.from
            ))
        })?;
        let host = settings.host.as_str();
        let builder = match settings.tls {
            SmtpTls::Implicit => AsyncSmtpTransport::<Tokio1Executor>::relay(host),
            SmtpTls::Starttls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host),
            SmtpTls::None => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)),
        };
        let mut builder = builder
            .map_err(|error| refuse(format!("alerts.smtp.host: \"{host}\" cannot be used: {error}")))?;
        builder = builder.timeout(Some(TIMEOUT));
        if let Some(port) = settings.port {
            builder = builder.port(port);
        }
        if let Some((user, password)) = &settings.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
        }
        Ok(Self {
            transport: builder.build(),
            from,
        })
    }

    pub async fn send(&self, address: &str, notice: &Notice) -> Result<(), SendError> {
        let permanent = |problem: String| SendError::Permanent(problem);
        let to = address
            .parse::<Mailbox>()
            .map_err(|error| permanent(format!("\"{address}\" is no address: {error}")))?;
        let domain = self.from.email.domain();
        let mail = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&notice.title)
            .message_id(Some(format!("<{}@{domain}>", notice.id)))
            .header(ContentType::TEXT_PLAIN)
            .body(notice.text())
            .map_err(|error| permanent(format!("the mail cannot be written: {error}")))?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(permanent(format!("the mail server refuses: {error}"))),
            Err(error) => Err(SendError::Transient(format!(
                "the mail server cannot be used: {error}"
            ))),
        }
    }
}

/// Why an address cannot be used.
pub(crate) fn problem_of(address: &str) -> Option<String> {
    let parsed = address.parse::<Mailbox>();
    parsed
        .err()
        .map(|error| format!("is no e-mail address ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_and_a_name_may_stand_before_one() {
        assert!(problem_of("nobody").is_some() && problem_of("a@b@c").is_some());
        assert!(problem_of("team@example.com").is_none());
        assert!(problem_of("The team <team@example.com>").is_none());
        let settings = SmtpSettings {
            host: "localhost".to_owned(),
            port: None,
            tls: SmtpTls::None,
            credentials: Some(("me".to_owned(), "secret".to_owned())),
            from: "nobody".to_owned(),
        };
        let error = Mailer::new(&settings).unwrap_err().to_string();
        assert!(error.starts_with("alerts.smtp.from"), "{error}");
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
