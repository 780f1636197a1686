//! One request to the API server and its answer: retried if the server is too busy, limited in time and size.

use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::ExponentialBackoff;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;

use super::{APPLY, Cluster, MAX_ANSWER, fence};
use crate::error::{Error, Kind, Result};
use crate::kubernetes::resource::Target;
use crate::kubernetes::{errors, retry};

/// Longest Retry-After that is respected.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Receives an answer piece by piece.
pub(super) type Sink<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// A request without its target.
pub(super) struct Sent<'a> {
    pub(super) method: Method,
    pub(super) query: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    /// Maximum length of the answer.
    pub(super) limit: usize,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
    pub(super) warnings: Vec<String>,
    /// Whether the answer to an earlier attempt was lost, or left open what became of it: then that attempt may have caused
    /// what this one finds done.
    pub(super) was_cut: bool,
}

impl Sent<'_> {
    /// Whether the request may be sent again when it is unknown whether it was carried out: it reads or changes
    /// nothing, or has the same result twice, or is bound to one object by its uid. A POST or a PUT is not: the second
    /// one would conflict with the first. An apply that is not bound could replace the object of another process.
    fn may_be_repeated(&self, target: &Target) -> bool {
        let applies = self.headers.iter().any(|(_, value)| *value == APPLY);
        match self.method {
            Method::GET => true,
            Method::PATCH if !applies || is_bound(self.body, "metadata") => true,
            _ if self.only_asks(target) => true,
            Method::DELETE => is_bound(self.body, "preconditions"),
            _ => false,
        }
    }

    /// Whether it changes nothing, although it is no GET.
    fn only_asks(&self, target: &Target) -> bool {
        self.query.contains("dryRun=All") || target.resource.kind.ends_with("Review")
    }
}

/// Whether the body of an apply (`metadata`) or of a DELETE (`preconditions`) has the uid of its object.
fn is_bound(body: &[u8], part: &str) -> bool {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    body[part]["uid"].is_string()
}

impl Cluster {
    /// Sends a request. Retries it when the server reports that it is too busy, and when the connection is cut and the
    /// request may be repeated.
    pub(super) async fn call(
        &self,
        target: &Target,
        method: Method,
        query: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        Box::pin(self.call_into(target, method, query, headers, body, None)).await
    }

    /// Like [`Self::call`]; `sink`, if there is one, receives the body of a success. A sink that received a part of one
    /// body receives no other.
    pub(super) async fn call_into(
        &self,
        target: &Target,
        method: Method,
        query: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        mut sink: Option<Sink<'_>>,
    ) -> Result<Answer> {
        let (mut busy, mut cut) = (retry::busy(), retry::cut());
        let mut was_cut = false;
        loop {
            let mut fed = false;
            let mut feed;
            let piece: Option<Sink<'_>> = match &mut sink {
                Some(sink) => {
                    feed = |bytes: &[u8]| {
                        fed = true;
                        sink(bytes);
                    };
                    Some(&mut feed)
                }
                None => None,
            };
            let sent = Sent {
                method: method.clone(),
                query,
                headers,
                body: &body,
                limit: MAX_ANSWER,
            };
            let may_be_repeated = sent.may_be_repeated(target);
            let pause = match self.call_once(target, sent, piece).await {
                // As after a cut connection: the sender looks up what became of it.
                Ok(answer) if is_unclear(&answer) && !may_be_repeated => {
                    return Err(self.status_error(target, answer.status, &answer.body));
                }
                Ok(answer) if is_busy(&answer) => {
                    let Some(pause) = busy.next() else { return Ok(answer) };
                    tracing::debug!(status = %answer.status, "the API server is busy");
                    was_cut |= is_unclear(&answer);
                    answer.retry_after.unwrap_or(pause).min(MAX_RETRY_AFTER)
                }
                Ok(answer) => return Ok(Answer { was_cut, ..answer }),
                Err(error) if may_be_repeated && !fed && self.was_cut(&error) => {
                    was_cut = true;
                    self.pause_after(error, &mut cut)?
                }
                Err(error) => return Err(error),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether a request failed only because its connection was cut, or because a server cannot be reached that
    /// answered before: it may soon answer again. There is no wait for a server that never answered.
    pub(crate) fn was_cut(&self, error: &Error) -> bool {
        error.kind == Kind::Unreachable && (error.unanswered || self.reached.load(Ordering::Relaxed))
    }

    /// The pause before a request is repeated whose connection was cut, see [`Self::was_cut`].
    ///
    /// # Errors
    /// `error`, if `cut` has no further pause.
    pub(crate) fn pause_after(&self, error: Error, cut: &mut ExponentialBackoff) -> Result<Duration> {
        let Some(pause) = cut.next() else {
            self.lost();
            return Err(error);
        };
        tracing::debug!(%error, "the connection was cut");
        Ok(pause)
    }

    /// Records that the server did not come back: it counts as reached when it answers again, and further requests fail
    /// at once.
    pub(crate) fn lost(&self) {
        self.reached.store(false, Ordering::Relaxed);
    }

    pub(super) async fn call_once(&self, target: &Target, sent: Sent<'_>, sink: Option<Sink<'_>>) -> Result<Answer> {
        if sent.method != Method::GET {
            self.fence.pass(self, &target.path()).await?;
            if !sent.only_asks(target) {
                fence::note_write();
            }
        }
        let uri = if sent.query.is_empty() {
            target.path()
        } else {
            format!("{}?{}", target.path(), sent.query.trim_start_matches('&'))
        };
        let mut request = Request::builder().method(sent.method).uri(uri);
        for (name, value) in sent.headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Body::from(sent.body.to_vec()))
            .map_err(|e| unsendable(target, e))?;
        let exchange = async {
            let response = self
                .client
                .send(request)
                .await
                .map_err(|error| self.kube_error(target, error))?;
            self.reached.store(true, Ordering::Relaxed);
            self.collect(target, response, sent.limit, sink).await
        };
        self.in_time(target, exchange).await?
    }

    /// Awaits an exchange for at most the time limit of one request.
    pub(crate) async fn in_time<T>(&self, target: &Target, exchange: impl Future<Output = T>) -> Result<T> {
        match self.timeout {
            None => Ok(exchange.await),
            Some(limit) => tokio::time::timeout(limit, exchange)
                .await
                .map_err(|_| errors::timed_out(target, &self.at, limit.as_secs_f64())),
        }
    }

    fn broken_off(&self, target: &Target, limit: usize, broken: tower::BoxError) -> Error {
        if broken.is::<http_body_util::LengthLimitError>() {
            return Error::failure(format!(
                "{} answered {} {target} with more than {limit} bytes",
                self.at, target.verb
            ));
        }
        let cause = errors::innermost(&*broken);
        Error::unreachable(format!(
            "{} broke off its answer to {} {target}: {cause}",
            self.at, target.verb
        ))
        .unanswered()
        .hint("try again in a while: every command can be repeated")
        .caused_by(broken)
    }

    async fn collect(
        &self,
        target: &Target,
        response: Response<Body>,
        limit: usize,
        sink: Option<Sink<'_>>,
    ) -> Result<Answer> {
        let (parts, body) = response.into_parts();
        let mut body = Limited::new(body, limit);
        let mut bytes = Vec::new();
        let mut sink = sink.filter(|_| parts.status.is_success());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken_off(target, limit, error))?;
            if let Some(data) = frame.data_ref() {
                match &mut sink {
                    Some(sink) => sink(data),
                    None => bytes.extend_from_slice(data),
                }
            }
        }
        let warnings = parts
            .headers
            .get_all(http::header::WARNING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(warning_text)
            .collect();
        Ok(Answer {
            status: parts.status,
            retry_after: parts
                .headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs),
            body: bytes.into(),
            warnings,
            was_cut: false,
        })
    }
}

/// Whether the server reports that it is too busy to answer.
fn is_busy(answer: &Answer) -> bool {
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => true,
        StatusCode::INTERNAL_SERVER_ERROR => errors::of_etcd(&String::from_utf8_lossy(&answer.body)),
        _ => false,
    }
}

/// Whether the request may have been carried out all the same: a proxy did not get the API server's answer in time, or the
/// API server not etcd's.
fn is_unclear(answer: &Answer) -> bool {
    is_busy(answer)
        && !matches!(
            answer.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        )
}

pub(super) fn unsendable(target: &Target, error: http::Error) -> Error {
    Error::usage(format!("{target} cannot be asked for")).because(error)
}

/// The text of a `Warning: 299 - "text"` header. Source: RFC 7234, section 5.5.
fn warning_text(header: &str) -> String {
    let quoted = header.splitn(3, ' ').nth(2).unwrap_or(header);
    let inner = quoted
        .strip_prefix('"')
        .and_then(|s| s.strip_suffix('"'))
        .unwrap_or(quoted);
    inner.replace("\\\"", "\"").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_header_is_reduced_to_its_text() {
        let expected = r#"would violate "restricted""#;
        assert_eq!(warning_text(r#"299 - "would violate \"restricted\"""#), expected);
        assert_eq!(warning_text("odd"), "odd");
    }
}
