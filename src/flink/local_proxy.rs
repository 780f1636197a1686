//! HTTP between a browser and Flink, for Flink's own pages only.
//!
//! Flink's REST has no authentication, allows every origin, and cancels a job by a GET. A browser's request to a local
//! port may come from any open page, so each request must prove that it comes from Flink's page: by `Host` (against DNS
//! rebinding), `Origin` and `Sec-Fetch-Site`. Source: Fetch Metadata Request Headers, W3C.

use std::cell::RefCell;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::port_forward::handshake;
use crate::error::{Error, Result};

/// The answer when Flink does not answer. Flink's page itself retries.
const AWAY: &str = "The JobManager does not answer now; try again in a moment\n";
/// The answer when Flink redirects the browser to its own address, which is not that of this port.
const ONLY_TLS: &str = "Flink answers only with TLS (security.ssl.rest.enabled), which this port does not have.\n\
    Run kubectl port-forward service/NAME-master 8081, and open https://localhost:8081/\n";
/// Headers for one connection only. Without them no connection is upgraded to another protocol.
/// Source: RFC 9110, 7.6.1.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) trait Backend {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Connects; `None`: no Flink is running now.
    async fn connect(&self) -> Result<Option<Self::Stream>>;
    /// Called when a connection was established but returned nothing.
    fn silent(&self);
}

/// The names of the port: only requests with one of them are answered.
pub(super) struct Own {
    hosts: Vec<String>,
}

impl Own {
    /// The names for a port of the loopback device.
    pub(super) fn new(port: u16) -> Self {
        let names = ["127.0.0.1", "localhost", "[::1]"];
        let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        if port == 80 {
            hosts.extend(names.map(ToOwned::to_owned));
        }
        Self { hosts }
    }

    /// Checks that a request is made by hand or by a page of this port.
    ///
    /// # Errors
    /// Why it is rejected.
    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
        if *method == Method::CONNECT || uri.authority().is_some() {
            return Err("it is meant for another server");
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
            (Some(host), None) => host.to_ascii_lowercase(),
            _ => return Err("it names no host, or several"),
        };
        if !self.hosts.contains(&host) {
            return Err("it names another host");
        }
        let origin = format!("http://{host}");
        let is_own = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        if !headers.get_all(header::ORIGIN).iter().all(is_own) {
            return Err("a page of another origin makes it");
        }
        let is_own = |value: &HeaderValue| value == "none" || value == "same-origin";
        if !headers.get_all("sec-fetch-site").iter().all(is_own) {
            return Err("a page of another site makes it, or a link there");
        }
        Ok(())
    }
}

type Body = Either<Incoming, Full<Bytes>>;

/// Answers the requests of one connection until the browser closes it.
pub(super) async fn serve(client: impl AsyncRead + AsyncWrite + Unpin, own: &Own, flink: &impl Backend) -> Result<()> {
    let kept = RefCell::new(None);
    let failed = RefCell::new(None);
    let service = service_fn(|request| {
        let (kept, failed) = (&kept, &failed);
        async move {
            if let Err(why) = own.check(request.method(), request.uri(), request.headers()) {
                tracing::debug!(why, uri = %request.uri(), "refused");
                return Ok(refusal(&own.hosts[0], why));
            }
            let answered = exchange(request, kept, flink).await;
            answered.map_err(|error| {
                *failed.borrow_mut() = error;
                std::io::Error::from(std::io::ErrorKind::ConnectionReset)
            })
        }
    });
    if let Err(error) = http1::Builder::new()
        .serve_connection(TokioIo::new(client), service)
        .await
    {
        tracing::debug!(%error, "the browser's connection ended");
    }
    failed.take().map_or(Ok(()), Err)
}

/// Returns Flink's answer to a request. An error of `None` closes the browser's connection, and the browser decides
/// whether to retry.
async fn exchange(
    request: Request<Incoming>,
    kept: &RefCell<Option<SendRequest<Incoming>>>,
    flink: &impl Backend,
) -> Result<Response<Body>, Option<Error>> {
    let mut request = for_flink(request);
    let before = kept.take();
    if let Some(mut sender) = before
        // Flink closes a connection that is idle for a while.
        && sender.ready().await.is_ok()
    {
        match sender.try_send_request(request).await {
            Ok(response) => {
                kept.replace(Some(sender));
                return Ok(from_flink(response));
            }
            Err(mut error) => request = error.take_message().ok_or(None)?,
        }
    }
    let Some(stream) = flink.connect().await.map_err(Some)? else {
        return Ok(text(StatusCode::SERVICE_UNAVAILABLE, AWAY.to_owned()));
    };
    if let Some(mut sender) = handshake(stream).await {
        match sender.send_request(request).await {
            Ok(response) => {
                kept.replace(Some(sender));
                return Ok(from_flink(response));
            }
            Err(error) => tracing::debug!(%error, "port-forward"),
        }
    }
    flink.silent();
    Ok(text(StatusCode::SERVICE_UNAVAILABLE, AWAY.to_owned()))
}

fn for_flink(mut request: Request<Incoming>) -> Request<Incoming> {
    without_hops(request.headers_mut());
    request.headers_mut().remove(header::EXPECT);
    *request.version_mut() = http::Version::HTTP_11;
    request
}

/// Flink's answer without the headers that let other pages read it.
fn from_flink(mut response: Response<Incoming>) -> Response<Body> {
    if response.status() == super::ONLY_TLS {
        return text(StatusCode::BAD_GATEWAY, ONLY_TLS.to_owned());
    }
    without_hops(response.headers_mut());
    let allowing = |name: &HeaderName| name.as_str().starts_with("access-control-");
    let allowing: Vec<_> = response
        .headers()
        .keys()
        .filter(|name| allowing(name))
        .cloned()
        .collect();
    for name in allowing {
        response.headers_mut().remove(name);
    }
    response.map(Either::Left)
}

fn without_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.into_iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn refusal(host: &str, why: &str) -> Response<Body> {
    let text_of = format!(
        "Refused: {why}. Only Flink's own page may ask here.\nTo open it, put http://{host}/ into the browser's address bar.\n"
    );
    text(StatusCode::FORBIDDEN, text_of)
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn check(lines: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Own::new(4000).check(&Method::GET, &"/jobs".parse().unwrap(), &headers)
    }

    #[test]
    fn only_its_own_names_are_answered() {
        for host in ["127.0.0.1:4000", "localhost:4000", "[::1]:4000", "LocalHost:4000"] {
            check(&[("host", host)]).unwrap();
        }
        for host in [
            "evil.example",
            "evil.example:4000",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:4001",
            "127.0.0.2:4000",
            "localhost.evil.example:4000",
            "user@127.0.0.1:4000",
            "",
        ] {
            assert!(check(&[("host", host)]).is_err(), "{host:?}");
        }
        assert!(check(&[]).is_err());
        assert!(check(&[("host", "127.0.0.1:4000"), ("host", "evil.example")]).is_err());
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("127.0.0.1"))]);
        Own::new(80)
            .check(&Method::GET, &"/".parse().unwrap(), &headers)
            .unwrap();
    }

    #[test]
    fn only_its_own_pages_are_answered() {
        let host = ("host", "localhost:4000");
        for own in [
            ("origin", "http://localhost:4000"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "same-origin"),
        ] {
            check(&[host, own]).unwrap();
        }
        for foreign in [
            ("origin", "http://evil.example"),
            ("origin", "https://localhost:4000"),
            ("origin", "http://localhost:4001"),
            ("origin", "http://localhost"),
            ("origin", "http://127.0.0.1:4000"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", ""),
        ] {
            assert!(check(&[host, foreign]).is_err(), "{foreign:?}");
            assert!(
                check(&[host, ("sec-fetch-site", "same-origin"), foreign]).is_err(),
                "{foreign:?}"
            );
        }
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost:4000"))]);
        for (method, uri) in [
            (Method::CONNECT, "localhost:4000"),
            (Method::GET, "http://localhost:4000/jobs"),
            (Method::GET, "http://evil.example/jobs"),
        ] {
            assert!(Own::new(4000).check(&method, &uri.parse().unwrap(), &headers).is_err());
        }
    }

    /// A Flink of which each connection answers as many requests as this says, and shows in the answer what it got.
    #[derive(Default)]
    struct Fake {
        requests: usize,
        connections: Cell<usize>,
        silent: Cell<bool>,
        away: bool,
        status: &'static str,
    }

    impl Fake {
        fn new(requests: usize) -> Rc<Self> {
            Rc::new(Self {
                requests,
                status: "200 OK",
                ..Self::default()
            })
        }
    }

    impl Backend for Fake {
        type Stream = DuplexStream;
        async fn connect(&self) -> Result<Option<DuplexStream>> {
            if self.away {
                return Ok(None);
            }
            self.connections.set(self.connections.get() + 1);
            let (near, mut far) = duplex(64 << 10);
            let (requests, status) = (self.requests, self.status);
            tokio::spawn(async move {
                for _ in 0..requests {
                    let asked = read(&mut far).await;
                    let answer = format!(
                        "HTTP/1.1 {status}\r\naccess-control-allow-origin: *\r\ncontent-length: {}\r\n\r\n{asked}",
                        asked.len()
                    );
                    far.write_all(answer.as_bytes()).await.unwrap();
                }
            });
            Ok(Some(near))
        }
        fn silent(&self) {
            self.silent.set(true);
        }
    }

    /// A message as it was sent: the head, and the body that its length says.
    async fn read(stream: &mut DuplexStream) -> String {
        let mut got = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&got).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    return text;
                }
            }
            let mut byte = [0; 1];
            if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                return text;
            }
            got.push(byte[0]);
        }
    }

    /// What is answered to each of these requests of one connection.
    async fn ask(flink: &Rc<Fake>, requests: &[&str]) -> Vec<String> {
        let (mut browser, client) = duplex(64 << 10);
        let own = Own::new(4000);
        let asking = async move {
            let mut answers = Vec::new();
            for request in requests {
                if browser.write_all(request.as_bytes()).await.is_err() {
                    break;
                }
                answers.push(read(&mut browser).await);
            }
            answers
        };
        let (served, answers) = tokio::join!(serve(client, &own, flink.as_ref()), asking);
        served.unwrap();
        answers
    }

    const GET: &str = "GET /jobs HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n";

    #[tokio::test]
    async fn its_own_page_is_answered_by_one_connection() {
        let flink = Fake::new(9);
        let post = "POST /jars/upload HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nOrigin: http://127.0.0.1:4000\r\n\
                    Content-Length: 5\r\n\r\nhello";
        let answers = ask(&flink, &[GET, post, GET]).await;
        assert_eq!(answers.len(), 3);
        for answer in &answers {
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
            assert!(!answer.contains("access-control"), "{answer}");
        }
        assert!(
            answers[1].contains("POST /jars/upload") && answers[1].ends_with("\r\n\r\nhello"),
            "{}",
            answers[1]
        );
        assert_eq!(flink.connections.get(), 1);
    }

    #[tokio::test]
    async fn pages_of_others_do_not_reach_flink() {
        let flink = Fake::new(9);
        let head = "HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n";
        for request in [
            "GET /jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
            "GET /jobs HTTP/1.0\r\n\r\n".to_owned(),
            format!("GET /jobs/1/yarn-cancel {head}Sec-Fetch-Site: cross-site\r\n\r\n"),
            format!("POST /jobs/1/savepoints {head}Origin: http://evil.example\r\nContent-Length: 2\r\n\r\n{{}}"),
            format!("OPTIONS /jobs {head}Origin: null\r\nAccess-Control-Request-Method: PATCH\r\n\r\n"),
            format!("GET / {head}Origin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            "GET http://127.0.0.1:4000/jobs HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n".to_owned(),
            "CONNECT 127.0.0.1:4000 HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n".to_owned(),
        ] {
            let answers = ask(&flink, &[&request]).await;
            assert!(answers[0].contains(" 403 Forbidden"), "{request}: {}", answers[0]);
            assert!(!answers[0].to_lowercase().contains("access-control"), "{}", answers[0]);
        }
        // A request that comes after one of its own, too.
        let foreign = format!("GET /jobs {head}Origin: http://evil.example\r\n\r\n");
        let answers = ask(&flink, &[GET, &foreign]).await;
        assert!(
            answers[0].contains(" 200 ") && answers[1].contains(" 403 "),
            "{answers:?}"
        );
        assert_eq!(flink.connections.get(), 1);
    }

    #[tokio::test]
    async fn no_connection_becomes_another_protocols() {
        let flink = Fake::new(9);
        let request = "GET /jobs HTTP/1.1\r\nHost: 127.0.0.1:4000\r\nConnection: Upgrade, x-mine\r\nUpgrade: websocket\r\n\
                       X-Mine: 1\r\n\r\n";
        let answers = ask(&flink, &[request]).await;
        let (_, asked) = answers[0].split_once("\r\n\r\n").unwrap();
        assert!(asked.contains("GET /jobs"), "{asked}");
        for word in ["upgrade", "websocket", "x-mine"] {
            assert!(!asked.to_lowercase().contains(word), "{asked}");
        }
    }

    #[tokio::test]
    async fn a_flink_that_goes_is_asked_by_a_new_connection() {
        let flink = Fake::new(1);
        let answers = ask(&flink, &[GET, GET, GET]).await;
        assert!(answers.iter().all(|answer| answer.contains(" 200 ")), "{answers:?}");
        assert!(flink.connections.get() == 3 && !flink.silent.get());
        let nothing = Fake::new(0);
        let answers = ask(&nothing, &[GET]).await;
        assert!(
            answers[0].contains(" 503 ") && answers[0].contains("try again"),
            "{answers:?}"
        );
        assert!(nothing.silent.get());
        let away = Rc::new(Fake {
            away: true,
            ..Fake::default()
        });
        let answers = ask(&away, &[GET]).await;
        assert!(answers[0].contains(" 503 ") && answers[0].to_lowercase().contains("retry-after: 2"));
        let only_tls = Rc::new(Fake {
            requests: 1,
            status: "301 Moved Permanently",
            ..Fake::default()
        });
        let answers = ask(&only_tls, &[GET]).await;
        assert!(
            answers[0].contains(" 502 ") && answers[0].contains("security.ssl.rest.enabled"),
            "{answers:?}"
        );
    }
}
