//! HTTP/1.1 connections that are polled by the request that uses them. A connection with a task of its own hands every
//! event of a stream from one task to the other and back before the next one, and each becomes a write of its own to the
//! client; here all that has arrived is passed on at once (docs/adr/0012-direct-connections.md).

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service as _;

use super::{UpstreamError, UpstreamRequest};

/// How long an unused connection is kept, as reqwest keeps them.
const KEPT_UNUSED: Duration = Duration::from_secs(90);
/// A silent server is asked whether it is there after this time and then as often, as reqwest asks.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long a server may leave what was sent to it unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// The connections to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections(Arc<Server>);

#[derive(Debug)]
struct Server {
    /// `http://` with host and port.
    address: Uri,
    host_header: HeaderValue,
    connector: HttpConnector,
    /// The one used last is at the end.
    unused: Mutex<Vec<Unused>>,
}

#[derive(Debug)]
struct Unused {
    link: Box<Link>,
    since: Instant,
}

type Sent = Request<Full<Bytes>>;

/// A connection with the end that requests are put into.
#[derive(Debug)]
struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// None after it was closed.
    connection: Option<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

impl Connections {
    /// Connections to the server of this URL; none to one that wants TLS or a password.
    pub fn to(url: &Url, connect_timeout: Duration) -> Option<Self> {
        let is_plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
        let host = url.host_str().filter(|_| is_plain)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Some(Self(Arc::new(Server {
            address: Uri::try_from(format!("http://{authority}/")).ok()?,
            host_header: HeaderValue::try_from(authority).ok()?,
            connector,
            unused: Mutex::default(),
        })))
    }

    /// Sends a request and waits for the head of its response. Where the server closes a connection that was used before,
    /// at the same moment or earlier, the request is sent again on a new one: of an answer nothing has come.
    pub async fn send(&self, request: UpstreamRequest) -> Result<Response<DirectBody>, UpstreamError> {
        let request = self.request_of(request)?;
        if let Some(link) = self.0.take_unused() {
            match self.send_on(link, request.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) if is_closed(&error) => self.0.forget_unused(),
                Err(error) => return Err(error.into()),
            }
        }
        let link = self.0.connect().await?;
        Ok(self.send_on(link, request).await?)
    }

    async fn send_on(
        &self,
        mut link: Box<Link>,
        request: Sent,
    ) -> Result<Response<DirectBody>, hyper::Error> {
        let incoming = link.send(request).await.map_err(TrySendError::into_error)?;
        Ok(incoming.map(|incoming| DirectBody {
            incoming,
            link: Some(link),
            server: self.0.clone(),
        }))
    }

    /// Closes connections that nobody has used for long, and those that the server has closed.
    pub fn close_unused(&self, now: Instant) {
        let mut context = Context::from_waker(Waker::noop());
        let mut unused = self.0.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.retain_mut(|one| {
            one.link.poll(&mut context);
            one.link.is_open() && now.duration_since(one.since) < KEPT_UNUSED
        });
    }

    fn request_of(&self, request: UpstreamRequest) -> Result<Sent, UpstreamError> {
        let UpstreamRequest { url, headers, body } = request;
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut sent = Request::new(Full::new(body));
        *sent.method_mut() = Method::POST;
        *sent.uri_mut() = Uri::try_from(target)?;
        *sent.headers_mut() = headers;
        sent.headers_mut().insert(HOST, self.0.host_header.clone());
        Ok(sent)
    }
}

impl Server {
    fn take_unused(&self) -> Option<Box<Link>> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        Some(unused.pop()?.link)
    }

    /// Closes all that nobody uses: where the server has closed one it has closed others, or is another one now.
    fn forget_unused(&self) {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn give_back(&self, link: Box<Link>) {
        let since = Instant::now();
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.push(Unused { link, since });
    }

    async fn connect(&self) -> Result<Box<Link>, UpstreamError> {
        let stream = self.connector.clone().call(self.address.clone()).await?;
        let (sender, connection) = http1::handshake(stream).await?;
        Ok(Box::new(Link {
            sender,
            connection: Some(connection),
        }))
    }
}

impl Link {
    /// Sends a request and waits for the head of its response.
    async fn send(&mut self, request: Sent) -> Result<Response<Incoming>, TrySendError<Sent>> {
        // A connection that was unused finds out here that the server has closed it.
        std::future::poll_fn(|context| {
            self.poll(context);
            Poll::Ready(())
        })
        .await;
        let mut sending = pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|context| {
            if let Poll::Ready(answered) = sending.as_mut().poll(context) {
                return Poll::Ready(answered);
            }
            poll_connection(&mut self.connection, context);
            sending.as_mut().poll(context)
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        poll_connection(&mut self.connection, context);
    }

    fn is_open(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// Whether the connection ended before anything of an answer.
fn is_closed(error: &hyper::Error) -> bool {
    let is_reset = |error: &std::io::Error| {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
    };
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    error.is_canceled() || error.is_incomplete_message() || cause.is_some_and(is_reset)
}

/// Reads and writes what can be; what fails reaches whoever waits for the response or its body.
fn poll_connection(
    connection: &mut Option<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    context: &mut Context<'_>,
) {
    if let Some(open) = connection
        && Pin::new(open).poll(context).is_ready()
    {
        *connection = None;
    }
}

/// The body of a response, which polls its connection and gives it back at the end.
#[derive(Debug)]
pub(crate) struct DirectBody {
    incoming: Incoming,
    link: Option<Box<Link>>,
    server: Arc<Server>,
}

impl Body for DirectBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut next = Pin::new(&mut this.incoming).poll_frame(context);
        if next.is_pending()
            && let Some(link) = &mut this.link
        {
            link.poll(context);
            next = Pin::new(&mut this.incoming).poll_frame(context);
        }
        if matches!(next, Poll::Ready(None))
            && let Some(mut link) = this.link.take()
        {
            link.poll(context);
            if link.is_open() {
                this.server.give_back(link);
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    /// A server that answers each request with `reply`, `per_connection` times and then closes; counts its connections.
    async fn server(reply: &'static [u8], per_connection: usize) -> (Url, Arc<AtomicUsize>, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1?a=b", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut asked = [0; 4_096];
                for _ in 0..per_connection {
                    let read = stream.read(&mut asked).await.unwrap();
                    if read == 0 {
                        break;
                    }
                    assert!(asked.starts_with(b"POST /v1?a=b HTTP/1.1\r\n"));
                    stream.write_all(reply).await.unwrap();
                }
            }
        });
        (Url::parse(&url).unwrap(), count, tasks)
    }

    async fn ask(connections: &Connections, url: &Url) -> Result<Response<DirectBody>, UpstreamError> {
        let request = UpstreamRequest {
            url: url.clone(),
            headers: http::HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
        };
        connections.send(request).await
    }

    async fn answer(connections: &Connections, url: &Url) -> Bytes {
        let response = ask(connections, url).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_connection_is_used_again_after_its_answer_was_read() {
        for reply in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        ] {
            let (url, count, _server) = server(reply, 10).await;
            let connections = Connections::to(&url, Duration::from_secs(1)).unwrap();
            for _ in 0..3 {
                assert_eq!(answer(&connections, &url).await, "hi");
            }
            assert_eq!(count.load(Ordering::SeqCst), 1);
            // An answer that nobody reads to its end takes its connection with it.
            drop(ask(&connections, &url).await.unwrap());
            answer(&connections, &url).await;
            assert_eq!(count.load(Ordering::SeqCst), 2);
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_replaced() {
        let (url, count, _server) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1).await;
        let connections = Connections::to(&url, Duration::from_secs(1)).unwrap();
        for asked in 1..=3 {
            assert_eq!(answer(&connections, &url).await, "hi");
            assert_eq!(count.load(Ordering::SeqCst), asked);
            while !connections.0.unused.lock().unwrap().is_empty() {
                connections.close_unused(Instant::now());
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_request_that_a_closed_connection_swallowed_is_sent_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/v1", listener.local_addr().unwrap())).unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut asked, reply) = ([0; 4_096], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            let (mut first, _) = listener.accept().await.unwrap();
            assert!(first.read(&mut asked).await.unwrap() > 0);
            first.write_all(reply).await.unwrap();
            // The second request is read, and the connection closed without a word.
            assert!(first.read(&mut asked).await.unwrap() > 0);
            drop(first);
            let (mut second, _) = listener.accept().await.unwrap();
            assert!(second.read(&mut asked).await.unwrap() > 0);
            second.write_all(reply).await.unwrap();
            // The third has a new connection, which is closed too: that is the server's own fault.
            drop(second);
            let (third, _) = listener.accept().await.unwrap();
            drop(third);
        });
        let connections = Connections::to(&url, Duration::from_secs(1)).unwrap();
        assert_eq!(answer(&connections, &url).await, "hi");
        assert_eq!(answer(&connections, &url).await, "hi");
        assert!(ask(&connections, &url).await.is_err());
    }

    #[tokio::test]
    async fn what_arrived_together_is_given_without_waiting() {
        let (url, _, _server) = server(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n",
            1,
        )
        .await;
        let connections = Connections::to(&url, Duration::from_secs(1)).unwrap();
        let mut body = pin!(ask(&connections, &url).await.unwrap().into_body());
        let mut context = Context::from_waker(Waker::noop());
        let mut pieces = 0;
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
            frame.unwrap();
            pieces += 1;
        }
        assert_eq!(pieces, 3);
    }

    #[tokio::test]
    async fn unused_connections_are_closed_after_a_while() {
        let (url, count, _server) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 10).await;
        let connections = Connections::to(&url, Duration::from_secs(1)).unwrap();
        answer(&connections, &url).await;
        connections.close_unused(Instant::now());
        answer(&connections, &url).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
        connections.close_unused(Instant::now() + KEPT_UNUSED);
        answer(&connections, &url).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error() {
        let (url, _, _server) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", 1).await;
        let connections = Connections::to(&url, Duration::from_secs(1)).unwrap();
        let response = ask(&connections, &url).await.unwrap();
        assert!(response.into_body().collect().await.is_err());
    }

    #[test]
    fn tls_and_passwords_are_for_the_shared_client() {
        for url in ["https://api.openai.com/v1", "http://me:secret@localhost/v1"] {
            assert!(Connections::to(&Url::parse(url).unwrap(), Duration::from_secs(1)).is_none());
        }
    }
}
