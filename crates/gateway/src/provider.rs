//! A provider: its URLs, the headers it wants, and whether it is asked at all.

use std::time::Duration;

use bytes::Bytes;
use hone_domain::ProviderKind;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue};
use reqwest::{Client, Url};

use crate::breaker::Breakers;
use crate::endpoint::Endpoint;
use crate::refusal::{Refusal, RefusalKind};
use crate::secret::Secret;
use crate::settings::ProviderSettings;
use crate::upstream::{Upstream, UpstreamRequest};

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// What is sent when the client names no version.
const DEFAULT_ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
/// What is sent when no version is configured.
const DEFAULT_AZURE_VERSION: &str = "2024-10-21";

/// A provider that can be asked.
#[derive(Debug)]
pub(crate) struct Provider {
    pub name: String,
    pub kind: ProviderKind,
    pub breakers: Breakers,
    pub counts_streamed_tokens: bool,
    /// Whether its key comes with each request, because a project brought it.
    pub is_of_project: bool,
    base_url: Url,
    api_key: Option<Secret>,
    api_version: String,
    client: Client,
    upstream: Upstream,
}

/// A setting that cannot work.
#[derive(Debug, thiserror::Error)]
#[error("providers.{name}.{field}: {problem}")]
pub struct InvalidProvider {
    name: String,
    field: &'static str,
    problem: String,
}

impl Provider {
    /// Checks the settings; `client` keeps the connections that are not our own.
    pub fn new(
        name: &str,
        settings: &ProviderSettings,
        client: Client,
        connect_timeout: Duration,
        is_of_project: bool,
    ) -> Result<Self, InvalidProvider> {
        let invalid = |field, problem: String| InvalidProvider {
            name: name.to_owned(),
            field,
            problem,
        };
        let base_url = parse_base_url(&settings.base_url, settings.kind)
            .map_err(|problem| invalid("base_url", problem))?;
        if settings
            .api_key
            .as_ref()
            .is_some_and(|key| key.header("").is_none())
        {
            return Err(invalid(
                "api_key",
                "has characters that a header cannot hold".to_owned(),
            ));
        }
        // The shared client keeps providers of projects away from private addresses.
        let upstream = if is_of_project {
            Upstream::Shared(client.clone())
        } else {
            Upstream::to(&base_url, client.clone(), connect_timeout)
        };
        Ok(Self {
            name: name.to_owned(),
            kind: settings.kind,
            breakers: Breakers::default(),
            counts_streamed_tokens: settings.counts_streamed_tokens,
            is_of_project,
            base_url,
            api_key: settings.api_key.clone(),
            api_version: settings
                .api_version
                .clone()
                .unwrap_or_else(|| DEFAULT_AZURE_VERSION.to_owned()),
            client,
            upstream,
        })
    }

    /// A call of an endpoint; `forwarded` are the client's headers that providers understand.
    pub fn request(
        &self,
        endpoint: Endpoint,
        model: &str,
        forwarded: &HeaderMap,
        key: Option<&Secret>,
        body: Bytes,
    ) -> Result<UpstreamRequest, Refusal> {
        let url = self.url(endpoint, model)?;
        let mut headers = forwarded.clone();
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        // Answers are read as they pass.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.authorise(endpoint.is_native_to(self.kind), &mut headers, key);
        Ok(UpstreamRequest { url, headers, body })
    }

    /// The text without the key, which some servers repeat in their errors.
    pub fn without_key(&self, given: Option<&Secret>, text: Bytes) -> Bytes {
        match given.or(self.api_key.as_ref()) {
            Some(key) => key.hidden_in(text),
            None => text,
        }
    }

    /// The way to it.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Asks which models there are.
    pub fn list_models(&self) -> reqwest::RequestBuilder {
        let mut url = self.base_url.clone();
        extend_path(
            &mut url,
            match self.kind {
                ProviderKind::OpenAi => &["models"],
                ProviderKind::Azure => &["openai", "models"],
                ProviderKind::Anthropic => &["v1", "models"],
            },
        );
        if self.kind == ProviderKind::Azure {
            url.query_pairs_mut()
                .append_pair("api-version", &self.api_version);
        }
        let mut headers = HeaderMap::new();
        self.authorise(true, &mut headers, None);
        self.client.get(url).headers(headers)
    }

    fn authorise(&self, is_native: bool, headers: &mut HeaderMap, given: Option<&Secret>) {
        let key = given.or(self.api_key.as_ref());
        match self.kind {
            ProviderKind::Anthropic if is_native => {
                headers
                    .entry(ANTHROPIC_VERSION)
                    .or_insert(DEFAULT_ANTHROPIC_VERSION);
                put(headers, HeaderName::from_static("x-api-key"), key, "");
            }
            ProviderKind::Azure => put(headers, HeaderName::from_static("api-key"), key, ""),
            ProviderKind::OpenAi | ProviderKind::Anthropic => put(headers, AUTHORIZATION, key, "Bearer "),
        }
    }

    fn url(&self, endpoint: Endpoint, model: &str) -> Result<Url, Refusal> {
        let mut url = self.base_url.clone();
        match self.kind {
            ProviderKind::OpenAi => extend_path(&mut url, &endpoint.path().split('/').collect::<Vec<_>>()),
            ProviderKind::Anthropic => {
                extend_path(&mut url, &["v1"]);
                extend_path(&mut url, &endpoint.path().split('/').collect::<Vec<_>>());
            }
            ProviderKind::Azure => {
                // The model becomes a part of the path; the URL type encodes all but these two.
                if matches!(model, "." | "..") {
                    let message = format!("\"{model}\" is no deployment");
                    return Err(Refusal::new(RefusalKind::Invalid, message));
                }
                if endpoint == Endpoint::Responses {
                    extend_path(&mut url, &["openai", "responses"]);
                } else {
                    extend_path(&mut url, &["openai", "deployments", model]);
                    extend_path(&mut url, &endpoint.path().split('/').collect::<Vec<_>>());
                }
                url.query_pairs_mut()
                    .append_pair("api-version", &self.api_version);
            }
        }
        Ok(url)
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, key: Option<&Secret>, prefix: &str) {
    if let Some(value) = key.and_then(|key| key.header(prefix)) {
        headers.insert(name, value);
    }
}

fn extend_path(url: &mut Url, segments: &[&str]) {
    // Only a URL that cannot be a base has no segments; parsing refuses those.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
}

/// Reads a base URL. Anthropic's own SDK takes it without the version, which people add all the same.
pub(crate) fn parse_base_url(text: &str, kind: ProviderKind) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("\"{text}\" is no URL ({error}); write it like https://api.openai.com/v1")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!(
            "\"{text}\" has no host; write it like https://api.openai.com/v1"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("leave out what follows ? or #".to_owned());
    }
    if kind != ProviderKind::Anthropic {
        return Ok(url);
    }
    let trimmed = text.trim_end_matches('/');
    Url::parse(trimmed.strip_suffix("/v1").unwrap_or(trimmed)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(kind: ProviderKind, base_url: &str) -> Provider {
        let settings = ProviderSettings {
            kind,
            base_url: base_url.to_owned(),
            api_key: Some(Secret::new("sk-secret")),
            api_version: None,
            counts_streamed_tokens: true,
        };
        Provider::new("p", &settings, Client::new(), Duration::from_secs(1), false).unwrap()
    }

    fn request(provider: &Provider, endpoint: Endpoint, model: &str) -> Result<UpstreamRequest, Refusal> {
        provider.request(endpoint, model, &HeaderMap::new(), None, Bytes::new())
    }

    #[test]
    fn each_kind_has_its_own_urls_and_headers() {
        let openai = provider(ProviderKind::OpenAi, "https://api.openai.com/v1/");
        let asked = request(&openai, Endpoint::ChatCompletions, "gpt-4o").unwrap();
        assert_eq!(asked.url.as_str(), "https://api.openai.com/v1/chat/completions");
        assert_eq!(asked.headers["authorization"], "Bearer sk-secret");

        let azure = provider(ProviderKind::Azure, "https://me.openai.azure.com");
        let asked = request(&azure, Endpoint::Embeddings, "a/../b").unwrap();
        assert_eq!(
            asked.url.as_str(),
            "https://me.openai.azure.com/openai/deployments/a%2F..%2Fb/embeddings?api-version=2024-10-21"
        );
        assert_eq!(asked.headers["api-key"], "sk-secret");
        assert!(request(&azure, Endpoint::Embeddings, "..").is_err());

        let anthropic = provider(ProviderKind::Anthropic, "https://api.anthropic.com/v1");
        let asked = request(&anthropic, Endpoint::Messages, "claude").unwrap();
        assert_eq!(asked.url.as_str(), "https://api.anthropic.com/v1/messages");
        assert_eq!(asked.headers["x-api-key"], "sk-secret");
        assert_eq!(asked.headers["anthropic-version"], "2023-06-01");
    }

    #[test]
    fn a_wrong_url_is_refused_by_its_setting() {
        for url in ["", "api.openai.com", "file:///etc/passwd", "https://a/v1?x=1"] {
            assert!(parse_base_url(url, ProviderKind::OpenAi).is_err(), "{url}");
        }
    }
}
