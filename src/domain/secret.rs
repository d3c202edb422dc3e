//! `secret:NAME`: a value that the node reads when it starts a run, and that is never stored.

use crate::error::{Error, Result};

const MARK: &str = "secret:";

/// The name behind `secret:`; `None` for a plain value.
pub fn secret_name(value: &str) -> Option<&str> {
    value.strip_prefix(MARK)
}

/// Checks a value that may be a secret: a whole value only, by a name that is one.
pub(crate) fn check(field: &str, value: &str) -> Result<()> {
    let Some(name) = secret_name(value) else {
        return match value.find(MARK) {
            // Upper case: `secret:` in running text is no mistake, `Bearer secret:TOKEN` is.
            Some(at) if value[at + MARK.len()..].starts_with(|c: char| c.is_ascii_uppercase()) => {
                Err(Error::invalid(field, "secret:NAME is a whole value, not part of one")
                    .hint("put the whole text into the secret"))
            }
            _ => Ok(()),
        };
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(Error::invalid(field, format!("{name:?} is not the name of a secret"))
            .value(value)
            .hint("letters, digits, _ - and ., as in secret:REPORT_DB"));
    }
    if name.to_ascii_uppercase().starts_with("UPBEAT_") {
        return Err(Error::invalid(field, format!("{name} may not be read: UPBEAT_* is the node's own")).value(value));
    }
    Ok(())
}
