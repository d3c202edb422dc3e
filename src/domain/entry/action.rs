//! Reads the action out of an entry's fields: exec, shell and the direct ones; `http` and `celery` have files of their own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{celery, http};
use crate::domain::action::{Action, Direct, DirectForm};
use crate::domain::fields::{ACTION_KINDS, keys_of, only_kind};
use crate::domain::id::{KEY_PREFIX, is_upbeat_key};
use crate::domain::policy::TARGET_MAX_LEN;
use crate::domain::reading::{filled_text, flag, inside, known_keys, shown, table, text, text_map, whole};
use crate::domain::secret;
use crate::error::{Error, Result};

/// Longest key or channel of a direct action, bytes.
const TARGET_MAX_BYTES: usize = 512;
/// Greatest `max_len`.
const MAX_LEN_MAX: u64 = 10_000_000;
/// Longest `shell` text, bytes; the definition as a whole has the same limit.
const SHELL_MAX_BYTES: usize = 64 * 1024;

/// The one action among the fields.
pub(crate) fn parse(fields: &Map<String, Value>) -> Result<Action> {
    let kind = only_kind(fields, "action", ACTION_KINDS)?;
    let value = &fields[kind];
    match kind {
        "exec" => exec(value).map(Action::Exec),
        "shell" => Ok(Action::Shell(filled_text(kind, value, SHELL_MAX_BYTES)?.to_owned())),
        "http" => http::parse(value).map(Action::Http),
        "celery" => celery::parse(value).map(|celery| Action::Celery(Box::new(celery))),
        "stream" => direct(kind, DirectForm::Stream, value).map(Action::Direct),
        "list" => direct(kind, DirectForm::List, value).map(Action::Direct),
        _ => direct(kind, DirectForm::Publish, value).map(Action::Direct),
    }
}

fn exec(value: &Value) -> Result<Vec<String>> {
    let field = "exec";
    let words = match value {
        Value::Array(words) => words,
        Value::String(line) => {
            let words: Vec<&str> = line.split_whitespace().collect();
            let list = Value::from(words);
            return Err(Error::invalid(field, format!("{} is not a list of texts", shown(value)))
                .value(shown(value))
                .hint(format!("write exec = {} or shell = {}", shown(&list), shown(value))));
        }
        _ => {
            return Err(Error::invalid(field, format!("{} is not a list of texts", shown(value)))
                .value(shown(value))
                .hint("write exec = [\"cmd\", \"arg\"]"));
        }
    };
    let words: Vec<String> = words.iter().map(|word| text(field, word).map(str::to_owned)).collect::<Result<_>>()?;
    match words.first() {
        None => Err(Error::invalid(field, "is empty; the first text is the program")),
        Some(program) if program.trim().is_empty() => {
            Err(Error::invalid(field, "the first text is the program; it is empty"))
        }
        Some(_) => Ok(words),
    }
}

fn direct(field: &str, form: DirectForm, value: &Value) -> Result<Direct> {
    let target_key = if form == DirectForm::Publish { "channel" } else { "key" };
    let mut direct = Direct {
        form,
        target: String::new(),
        max_len: if form == DirectForm::Publish { 0 } else { TARGET_MAX_LEN },
        trim: false,
        raw: false,
    };
    let target = match value {
        Value::Object(settings) => {
            if form == DirectForm::List && settings.contains_key("trim") {
                return Err(Error::invalid("list.trim", "only a stream can drop its oldest")
                    .hint("leave it out, or write stream = { ... }"));
            }
            known_keys(field, settings, keys_of(field))?;
            if let Some(value) = settings.get("max_len") {
                direct.max_len = whole(&inside(field, "max_len"), value, 1..=MAX_LEN_MAX)?;
            }
            if let Some(value) = settings.get("trim") {
                direct.trim = flag(&inside(field, "trim"), value)?;
            }
            if let Some(value) = settings.get("raw") {
                direct.raw = flag(&inside(field, "raw"), value)?;
            }
            let Some(target) = settings.get(target_key) else {
                return Err(Error::invalid(inside(field, target_key), "is missing"));
            };
            self::target(&inside(field, target_key), target)?
        }
        _ => self::target(field, value)?,
    };
    direct.target = target;
    Ok(direct)
}

fn target(field: &str, value: &Value) -> Result<String> {
    let target = filled_text(field, value, TARGET_MAX_BYTES)?;
    if is_upbeat_key(target) {
        return Err(Error::invalid(field, format!("{target:?} lies under upbeat's own prefix, {KEY_PREFIX}"))
            .value(target)
            .hint("choose another name"));
    }
    if secret::secret_name(target).is_some() {
        return Err(Error::invalid(field, "a target can't be a secret").value(target));
    }
    Ok(target.to_owned())
}

/// `env`: names that a process can have, texts that may be secrets.
pub(crate) fn env(value: &Value) -> Result<BTreeMap<String, String>> {
    table("env", value)?;
    let texts = text_map("env", value)?;
    for (name, value) in &texts {
        env_name(name)?;
        secret::check(&inside("env", name), value)?;
    }
    Ok(texts)
}

fn env_name(name: &str) -> Result<()> {
    let field = inside("env", name);
    if !is_env_name(name) {
        return Err(Error::invalid(field, format!("{name:?} is not the name of a variable"))
            .hint("letters, digits and _, first no digit"));
    }
    if name.to_ascii_uppercase().starts_with("UPBEAT_") {
        return Err(Error::invalid(field, "UPBEAT_* is set by the node").hint("choose another name"));
    }
    Ok(())
}

/// Whether a process can have a variable of this name, and a shell read it.
pub(crate) fn is_env_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
