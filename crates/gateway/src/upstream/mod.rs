//! The way to a provider: over TLS the shared client, which knows HTTP/2 too; without TLS, as model servers in the same
//! network are asked, connections of our own.

mod direct;

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use reqwest::{Client, Url};
use tokio::time::Instant;

use self::direct::{Connections, DirectBody};

/// Why a provider did not answer, or stopped.
pub(crate) type UpstreamError = Box<dyn Error + Send + Sync>;

/// Where the requests to one provider go.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// Connections that the client keeps and polls in tasks of their own.
    Shared(Client),
    /// Connections that the request polls which uses them.
    Direct(Connections),
}

/// A request to a provider, a `POST`.
#[derive(Debug)]
pub(crate) struct UpstreamRequest {
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Upstream {
    /// The way to a URL: direct ones for those of the operator without TLS.
    pub fn to(url: &Url, client: Client, connect_timeout: Duration) -> Self {
        match Connections::to(url, connect_timeout) {
            Some(connections) => Self::Direct(connections),
            None => Self::Shared(client),
        }
    }

    /// Sends a request and waits for the head of its response. Dropping the response's body cancels it.
    pub async fn send(&self, request: UpstreamRequest) -> Result<Response<UpstreamBody>, UpstreamError> {
        match self {
            Self::Shared(client) => {
                let UpstreamRequest { url, headers, body } = request;
                let response = client.post(url).headers(headers).body(body).send().await?;
                Ok(Response::from(response).map(UpstreamBody::Shared))
            }
            Self::Direct(connections) => Ok(connections.send(request).await?.map(UpstreamBody::Direct)),
        }
    }

    /// Closes connections that nobody has used for long.
    pub fn close_unused(&self, now: Instant) {
        if let Self::Direct(connections) = self {
            connections.close_unused(now);
        }
    }
}

/// The body of a provider's response.
#[derive(Debug)]
pub(crate) enum UpstreamBody {
    Shared(reqwest::Body),
    Direct(DirectBody),
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match &mut *self {
            Self::Shared(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Direct(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }
}
