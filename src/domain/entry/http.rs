//! Reads the `http` action.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::domain::action::Http;
use crate::domain::address::is_forbidden;
use crate::domain::fields::keys_of;
use crate::domain::nearest::nearest;
use crate::domain::reading::{filled_text, inside, known_keys, shown, text, text_map};
use crate::domain::secret;
use crate::error::{Error, Result};

/// Longest url, bytes.
const URL_MAX_BYTES: usize = 8 * 1024;
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers that belong to the connection or to upbeat.
const NOT_YOURS: &[&str] = &[
    "connection",
    "content-length",
    "idempotency-key",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The text form `"POST https://..."`, or the table.
pub(crate) fn parse(value: &Value) -> Result<Http> {
    match value {
        Value::Object(settings) => from_table(settings),
        Value::String(line) => from_line(line),
        _ => Err(Error::invalid("http", format!("{} is neither a text nor a table", shown(value)))
            .value(shown(value))
            .hint("write http = \"POST https://...\" or http = { method = \"POST\", url = \"https://...\" }")),
    }
}

fn from_line(line: &str) -> Result<Http> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (method, url) = match words[..] {
        [url] => ("GET", url),
        [method, url] => (method, url),
        _ => {
            return Err(Error::invalid("http", format!("{line:?} is not a method and a url"))
                .value(line)
                .hint("write \"POST https://...\", or \"https://...\" for GET"));
        }
    };
    check_method("http", method)?;
    check_url("http", url)?;
    Ok(Http { method: method.to_owned(), url: url.to_owned(), headers: BTreeMap::new(), ok: accepted_by_default() })
}

fn from_table(settings: &Map<String, Value>) -> Result<Http> {
    known_keys("http", settings, keys_of("http"))?;
    let method = match settings.get("method") {
        Some(value) => text("http.method", value)?,
        None => "GET",
    };
    check_method("http.method", method)?;
    let url = match settings.get("url") {
        Some(value) => filled_text("http.url", value, URL_MAX_BYTES)?,
        None => return Err(Error::invalid("http.url", "is missing")),
    };
    check_url("http.url", url)?;
    let headers = match settings.get("headers") {
        Some(value) => headers(value)?,
        None => BTreeMap::new(),
    };
    let ok = match settings.get("ok") {
        Some(value) => accepted(value)?,
        None => accepted_by_default(),
    };
    Ok(Http { method: method.to_owned(), url: url.to_owned(), headers, ok })
}

fn check_method(field: &str, method: &str) -> Result<()> {
    let refuse = |why: String| Error::invalid(field, why).value(method);
    if method.is_empty() || method.len() > 32 || !method.bytes().all(is_token_byte) {
        return Err(refuse(format!("{method:?} is not a method")).hint(METHODS.join(", ")));
    }
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let meant = nearest(method, METHODS.iter().copied()).map(str::to_owned);
        let meant = meant.unwrap_or_else(|| method.to_ascii_uppercase());
        return Err(refuse(format!("{method:?} is not a method in upper case")).hint(format!("did you mean {meant}?")));
    }
    if method == "CONNECT" {
        return Err(refuse("CONNECT opens a tunnel; it is no request of its own".to_owned()));
    }
    Ok(())
}

fn check_url(field: &str, text: &str) -> Result<()> {
    secret::check(field, text)?;
    if secret::secret_name(text).is_some() {
        return Ok(());
    }
    // Secrets of a url may stand in it: the complaint shows none of it.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::invalid(field, "the url has a blank in it").hint("write %20"));
    }
    let refuse = |why: String| Error::invalid(field, why).value(text);
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return Err(refuse(format!("{text:?} has no scheme")).hint(format!("write https://{text}")));
        }
        Err(error) => return Err(refuse(format!("{text:?} is not a url: {error}"))),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(format!("{:?} is not http or https", url.scheme())));
    }
    let address = match url.host() {
        Some(url::Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(url::Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(url::Host::Domain(_)) => return Ok(()),
        None => return Err(refuse(format!("{text:?} has no host"))),
    };
    if is_forbidden(address) {
        return Err(refuse(format!("{address} is link-local or a cloud's metadata service; no request goes there")));
    }
    Ok(())
}

fn headers(value: &Value) -> Result<BTreeMap<String, String>> {
    let headers = text_map("http.headers", value)?;
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in &headers {
        let field = inside("http.headers", name);
        let plain = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(Error::invalid(field, format!("{name:?} is not the name of a header")));
        }
        if NOT_YOURS.contains(&plain.as_str()) || plain.starts_with("upbeat-") {
            return Err(Error::invalid(field, "is set by upbeat or belongs to the connection").hint("leave it out"));
        }
        if seen.contains(&plain) {
            return Err(Error::invalid(field, "is given twice; case does not count"));
        }
        if !value.bytes().all(|byte| byte == b'\t' || (32..127).contains(&byte)) {
            return Err(Error::invalid(field, "the value of a header is plain ASCII on one line"));
        }
        secret::check(&field, value)?;
        seen.push(plain);
    }
    Ok(headers)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn accepted_by_default() -> Vec<(u16, u16)> {
    vec![(200, 299)]
}

/// `["200-299", 404, "410"]`.
fn accepted(value: &Value) -> Result<Vec<(u16, u16)>> {
    let field = "http.ok";
    let refuse = |value: &Value| {
        Error::invalid(field, format!("{} is not a status or a range of them", shown(value)))
            .value(shown(value))
            .hint("as in [\"200-299\", 404]; statuses go from 100 to 599")
    };
    let items = match value {
        Value::Array(items) if !items.is_empty() && items.len() <= 100 => items,
        _ => return Err(refuse(value)),
    };
    items
        .iter()
        .map(|item| {
            let (low, high) = match item {
                Value::Number(_) => (item.as_u64(), item.as_u64()),
                Value::String(text) => {
                    let (low, high) = text.split_once('-').unwrap_or((text, text));
                    (low.trim().parse().ok(), high.trim().parse().ok())
                }
                _ => (None, None),
            };
            match (low.and_then(status), high.and_then(status)) {
                (Some(low), Some(high)) if low <= high => Ok((low, high)),
                _ => Err(refuse(item)),
            }
        })
        .collect()
}

fn status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (100..=599).contains(status))
}
