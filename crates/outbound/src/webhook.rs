//! Notices to URLs: signed as the Standard Webhooks specification says (standardwebhooks.com), or in Slack's format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, StatusCode};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

use crate::{Notice, SendError};

/// A part of an answer that is worth keeping in the log.
const SHOWN_ANSWER: usize = 200;

/// A key as it is shown to who checks signatures.
pub fn shown_key(key: &[u8; 32]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

/// The signature of a message: HMAC-SHA256 of its id, the time in seconds and its body, with dots between.
pub fn signature(key: &[u8; 32], id: Uuid, at_s: i64, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(format!("{id}.{at_s}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

pub(crate) async fn send(
    client: &Client,
    url: &str,
    key: &[u8; 32],
    notice: &Notice,
) -> Result<(), SendError> {
    let body = json!(notice).to_string();
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", notice.id.to_string())
        .header("webhook-timestamp", notice.at_s.to_string())
        .header("webhook-signature", signature(key, notice.id, notice.at_s, &body))
        .body(body);
    answer_of(request).await
}

pub(crate) async fn send_slack(client: &Client, url: &str, notice: &Notice) -> Result<(), SendError> {
    // `text` is what notifications show, and all that plainer receivers of the format read.
    let lines = notice
        .lines
        .iter()
        .map(|(name, said)| format!("\n*{}*: {}", escaped(name), escaped(said)));
    let text = format!("*{}*{}", escaped(&notice.title), lines.collect::<String>());
    let body = json!({ "text": text, "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": text } }] });
    answer_of(client.post(url).json(&body)).await
}

/// Slack's own escapes: what users wrote must not become a link or a mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

async fn answer_of(request: reqwest::RequestBuilder) -> Result<(), SendError> {
    let response = request
        .send()
        .await
        // The URL may be a secret: it stays out of the log.
        .map_err(|error| {
            SendError::Transient(format!("the receiver cannot be reached: {}", error.without_url()))
        })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let said: String = response
        .text()
        .await
        .unwrap_or_default()
        .chars()
        .take(SHOWN_ANSWER)
        .collect();
    let problem = format!("the receiver answered {status}: {said}");
    let again = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    Err(if again {
        SendError::Transient(problem)
    } else {
        SendError::Permanent(problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_specification() {
        // Computed with Python's hmac module over the same message.
        let key = [7; 32];
        let id = Uuid::from_u128(1);
        assert_eq!(
            signature(&key, id, 1_700_000_000, r#"{"a":1}"#),
            "v1,bKTjXeW4/FfHUdgUFtK4EGb4fgyxUpIT8jfGNxWYR6Q="
        );
        assert_eq!(
            shown_key(&key),
            "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
        );
    }

    #[test]
    fn what_users_wrote_is_no_markup() {
        assert_eq!(escaped("<!channel> & co"), "&lt;!channel&gt; &amp; co");
    }
}
