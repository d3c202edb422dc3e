//! An attempt that is a request: sends it, follows redirects, judges the answer.
//!
//! Redirects are followed here and not by the client, so that each target is checked like the first and the entry's
//! headers stay at home.

use std::error::Error;
use std::ffi::OsString;
use std::sync::{Arc, OnceLock};

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use url::{Position, Url};

use super::address::{self, Forbidden};
use super::cause::Interruption;
use super::output::Tail;
use super::retry_after::retry_after;
use super::secret::{Mask, Vault};
use super::{Attempt, Ending, Outcome, Refused};
use crate::domain::action::Http;
use crate::domain::run::Reason;
use crate::domain::span::Span;

/// Redirects that are followed at most.
const HOPS_MAX: usize = 10;
/// What is read of an answer at most; its last 64 KiB stay.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;
/// Longer facts are no header: servers refuse requests whose headers take more than some KiB.
const FACT_MAX_BYTES: usize = 4096;
/// Parts of a secret URL that are at least so long are secrets, too.
const URL_PART_MIN_BYTES: usize = 8;

/// The client; made with the first request, for it reads the system's certificates.
#[derive(Debug, Default)]
pub(super) struct Web {
    client: OnceLock<Result<Client, String>>,
}

/// Why there is no answer that counts.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    reason: Reason,
    message: String,
    /// Of the last answer, where there was one.
    status: Option<u16>,
    retry_after: Option<Span>,
}

impl Failure {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), status: None, retry_after: None }
    }
}

impl Web {
    /// Sends the request of `attempt`; reads secrets from `vault` and puts them under `mask`.
    pub(super) async fn run(
        &self,
        http: &Http,
        attempt: &Attempt,
        vault: &Vault,
        mask: &mut Mask,
        interruption: &mut Interruption,
    ) -> Result<Outcome, Refused> {
        let request = Request::prepare(http, attempt, vault, mask)?;
        let client =
            self.client.get_or_init(|| client(address::Resolver)).as_ref().map_err(|why| Refused(why.clone()))?;
        let mut tail = Tail::new(mask, &attempt.output);
        let answer = tokio::select! {
            answer = request.send(client, &mut tail) => Ok(answer),
            cause = interruption.next() => Err(cause),
        };
        tail.finish();
        Ok(match answer {
            Ok(Ok(status)) => Outcome { http_status: Some(status), ..Outcome::new(Ending::Succeeded) },
            Ok(Err(Failure { reason, message, status, retry_after })) => {
                Outcome { http_status: status, retry_after, ..Outcome::failed(reason, message) }
            }
            Err(cause) => Outcome::interrupted(cause, attempt.timeout),
        })
    }
}

fn client(resolver: impl reqwest::dns::Resolve + 'static) -> Result<Client, String> {
    // Whoever was first, the Redis client perhaps, has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let resolver = Arc::new(resolver);
    let builder = || {
        Client::builder()
            .user_agent(concat!("upbeat/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::clone(&resolver))
            // A connection kept from the last fire may be dead, and a request that can't be repeated would find out.
            .pool_max_idle_per_host(0)
    };
    // Without any certificate on this machine, http still works and https says that the issuer is unknown.
    builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build())
        .map_err(|error| format!("no http client: {}", chain(&error)))
}

struct Request {
    method: Method,
    url: Url,
    /// Sent to the entry's own target only.
    entry_headers: HeaderMap,
    facts: HeaderMap,
    body: Option<Vec<u8>>,
    /// Whether its target is a secret, whose host no message names.
    is_secret: bool,
    ok: Vec<(u16, u16)>,
}

impl Request {
    fn prepare(http: &Http, attempt: &Attempt, vault: &Vault, mask: &mut Mask) -> Result<Self, Refused> {
        let method = Method::from_bytes(http.method.as_bytes())
            .map_err(|_| Refused(format!("method {:?} is not valid", http.method)))?;
        let text = vault.open(&http.url, mask)?.into_string().unwrap_or_default();
        let url = Url::parse(&text).map_err(|error| Refused(format!("url is not valid: {error}")))?;
        if text != http.url {
            let parts = [url.as_str(), &url[Position::BeforePath..], &url[Position::BeforePath..Position::AfterPath]];
            parts.iter().filter(|part| part.len() >= URL_PART_MIN_BYTES).for_each(|part| mask.add(part.as_bytes()));
        }
        let mut entry_headers = HeaderMap::new();
        for (name, value) in &http.headers {
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Refused(format!("header {name:?} has no valid name")))?;
            let text = vault.open(value, mask)?;
            if text != OsString::from(value) {
                mask_credentials(&text, mask);
            }
            let text = HeaderValue::from_bytes(text.as_encoded_bytes());
            entry_headers.append(key, text.map_err(|_| Refused(format!("the value of header {name:?} is not valid")))?);
        }
        let ok = if http.ok.is_empty() { vec![(200, 299)] } else { http.ok.clone() };
        Ok(Self {
            method,
            url,
            entry_headers,
            facts: facts(attempt),
            body: attempt.payload.clone(),
            is_secret: text != http.url,
            ok,
        })
    }

    /// Sends it, and on to where it is redirected; an answer whose status is accepted is never a redirect. The status of
    /// the answer.
    async fn send(mut self, client: &Client, tail: &mut Tail<'_>) -> Result<u16, Failure> {
        let home = self.url.origin();
        let mut last = None;
        for _ in 0..=HOPS_MAX {
            if !matches!(self.url.scheme(), "http" | "https") {
                let why = format!("{}: is refused: only http and https are requested", self.url.scheme());
                return Err(Failure { status: last, ..Failure::new(Reason::Refused, why) });
            }
            address::check_url(&self.url).map_err(|forbidden| Failure {
                status: last,
                ..Failure::new(Reason::Refused, forbidden.to_string())
            })?;
            if self.url.origin() != home {
                self.entry_headers.clear();
            }
            let response = client.execute(self.message()).await.map_err(|error| self.unsent(error))?;
            let status = response.status();
            if self.accepts(status) {
                return read(response, tail).await.map(|()| status.as_u16());
            }
            last = Some(status.as_u16());
            let Some(target) = redirect_target(&response, &self.url) else {
                let retry_after = asked_wait(response.headers());
                // The status has decided: a body that breaks off changes nothing.
                let _ = read(response, tail).await;
                return Err(Failure {
                    status: last,
                    retry_after,
                    ..Failure::new(Reason::HttpStatus, status.to_string())
                });
            };
            let becomes_get = match status {
                StatusCode::SEE_OTHER => self.method != Method::HEAD,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
                _ => false,
            };
            if becomes_get {
                self.method = Method::GET;
                self.body = None;
                self.entry_headers.remove(header::CONTENT_TYPE);
                self.entry_headers.remove(header::CONTENT_LENGTH);
            }
            self.url = target;
        }
        let why = format!("redirected more than {HOPS_MAX} times");
        Err(Failure { status: last, ..Failure::new(Reason::HttpStatus, why) })
    }

    /// [`failure`] with the name of the server that can't be reached.
    fn unsent(&self, error: reqwest::Error) -> Failure {
        let is_named = error.is_connect() && !self.is_secret;
        let failure = failure(error);
        let host = self.url.host_str().filter(|_| is_named && failure.reason == Reason::Connect);
        match (host, self.url.port_or_known_default()) {
            (Some(host), Some(port)) => Failure { message: format!("{host}:{port}: {}", failure.message), ..failure },
            _ => failure,
        }
    }

    fn message(&self) -> reqwest::Request {
        let mut message = reqwest::Request::new(self.method.clone(), self.url.clone());
        let headers = message.headers_mut();
        headers.extend(self.entry_headers.clone());
        headers.extend(self.facts.clone());
        let is_json = self.body.as_ref().is_some_and(|body| matches!(body.first(), Some(b'{' | b'[')));
        if is_json && !headers.contains_key(header::CONTENT_TYPE) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *message.body_mut() = self.body.clone().map(Into::into);
        message
    }

    fn accepts(&self, status: StatusCode) -> bool {
        self.ok.iter().any(|&(from, to)| (from..=to).contains(&status.as_u16()))
    }
}

/// The facts of the attempt; one that can't be a header (a result with line breaks, or a long one) is left out.
fn facts(attempt: &Attempt) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let names = attempt
        .context
        .facts()
        .into_iter()
        .map(|(name, value)| (format!("upbeat-{}", name.to_lowercase().replace('_', "-")), value));
    for (name, value) in names.chain([("idempotency-key".to_owned(), attempt.context.run_id.clone())]) {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("facts have plain names");
        if value.len() <= FACT_MAX_BYTES
            && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// `Bearer TOKEN` is a secret, and so is TOKEN.
fn mask_credentials(value: &OsString, mask: &mut Mask) {
    let credentials = value.to_str().and_then(|value| value.split_once(' '));
    if let Some((_, rest)) = credentials {
        mask.add(rest.trim().as_bytes());
    }
}

/// Where `response` sends us; `None` if nowhere.
fn redirect_target(response: &Response, from: &Url) -> Option<Url> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| is_redirect)?;
    from.join(std::str::from_utf8(location.as_bytes()).ok()?).ok()
}

fn asked_wait(headers: &HeaderMap) -> Option<Span> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    retry_after(text(header::RETRY_AFTER)?, text(header::DATE))
}

async fn read(mut response: Response, tail: &mut Tail<'_>) -> Result<(), Failure> {
    let mut length = 0;
    while length < ANSWER_MAX_BYTES {
        let Some(piece) = response.chunk().await.map_err(failure)? else { break };
        tail.push(&piece);
        length += piece.len();
    }
    Ok(())
}

fn failure(error: reqwest::Error) -> Failure {
    // Its URL may hold a secret.
    let error = error.without_url();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(forbidden) = inner.downcast_ref::<Forbidden>() {
            return Failure::new(Reason::Refused, forbidden.to_string());
        }
        source = inner.source();
    }
    // Its own words only say that a request failed.
    let cause: &(dyn Error + 'static) = error.source().unwrap_or(&error);
    Failure::new(Reason::Connect, if error.is_connect() { last_cause(cause) } else { chain(cause) })
}

/// Why there is no connection, in the words of whoever knows: `connection refused`.
fn last_cause(mut error: &(dyn Error + 'static)) -> String {
    while let Some(inner) = error.source() {
        error = inner;
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let is_system = error.downcast_ref::<std::io::Error>().is_some_and(|error| error.raw_os_error().is_some());
    let is_lookup = text.starts_with("failed to lookup");
    if is_system || is_lookup { text.to_lowercase() } else { text.to_owned() }
}

/// The error and its causes, what merely repeats left out.
fn chain(error: &dyn Error) -> String {
    let mut error = error;
    // `client error (SendRequest)` says nothing to people.
    while let Some(inner) = error.source().filter(|_| error.to_string().starts_with("client error")) {
        error = inner;
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::dns::{Addrs, Name, Resolve, Resolving};

    /// Resolves every name to a metadata service.
    struct Poisoned;

    impl Resolve for Poisoned {
        fn resolve(&self, _: Name) -> Resolving {
            let found = std::iter::once(([169, 254, 169, 254], 0).into());
            Box::pin(async move { Ok(Box::new(address::permitted(found)?.into_iter()) as Addrs) })
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_metadata_service_is_refused() {
        let client = client(Poisoned).expect("a client");
        let error = client.get("http://harmless.example/").send().await.expect_err("refused");
        let refused = Failure::new(Reason::Refused, "169.254.169.254 is refused: a metadata service");
        assert_eq!(failure(error), refused);
    }
}
