//! Bytes that should be JSON: read, or told in words what they are instead.

use serde_json::Value;

use crate::error::{Error, Result};

/// Most characters of anything foreign that is shown.
const SHOWN_CHARS: usize = 80;

/// The JSON in `bytes`; `field` is what RedBeat calls it.
///
/// # Errors
///
/// Invalid about `field`, with what stands there instead.
pub fn json(field: &str, bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Err(Error::invalid(field, "is empty"));
    }
    // Protocols 2 and newer begin with this byte and their number.
    if bytes.len() > 1 && bytes[0] == 0x80 && (2..=5).contains(&bytes[1]) {
        return Err(Error::invalid(field, "is a pickle of Python, not JSON").hint(
            "RedBeat itself writes JSON: another program wrote it, and only that program's own environment reads it",
        ));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Error::invalid(field, format!("is not text: {} bytes that are not UTF-8", bytes.len())));
    };
    serde_json::from_str(text).map_err(|why| {
        let reason = why.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_lowercase();
        let what = match why.classify() {
            serde_json::error::Category::Eof => "is cut off",
            _ if reason.contains("recursion") => "is nested too deeply",
            _ => "is not JSON",
        };
        Error::invalid(field, format!("{what}: {reason}")).value(printable(bytes))
    })
}

/// Foreign bytes as they may be shown: one line, no control characters, not too long.
pub fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_CHARS * 4)]);
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(|c| c.escape_debug()).collect();
    shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().count() > SHOWN_CHARS || bytes.len() > SHOWN_CHARS * 4 {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_told_in_words() {
        let why = |bytes: &[u8]| json("definition", bytes).unwrap_err().to_string();
        assert_eq!(why(b""), "definition: is empty");
        assert_eq!(why(b"\x80\x04\x95\x10"), "definition: is a pickle of Python, not JSON");
        assert_eq!(why(b"\xff\xfe{}"), "definition: is not text: 4 bytes that are not UTF-8");
        assert!(why(b"{\"name\": \"a").starts_with("definition: is cut off: eof"), "{}", why(b"{\"name\": \"a"));
        assert!(why("[".repeat(10_000).as_bytes()).starts_with("definition: is nested too deeply"));
        assert!(why(b"{name}").starts_with("definition: is not JSON: key must be"));
    }

    #[test]
    fn foreign_bytes_are_shown_on_one_line() {
        assert_eq!(printable(b"a\nb\x1b[31m \"q\""), "a\\nb\\u{1b}[31m \"q\"");
        assert_eq!(printable("é".repeat(200).as_bytes()).chars().count(), 83);
    }
}
