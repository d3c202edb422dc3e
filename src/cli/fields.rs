//! One flag per field of an entry, `_` as `-`; what they say becomes fields, which the entry itself checks.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};

use crate::domain::entry::{FIELDS, is_later};
use crate::domain::fields::keys_of;
use crate::domain::zone::{Fold, Gap};
use crate::error::{Error, Result};

/// Expressions, instants and lengths, which may begin with a sign: what is wrong with them is said under their own name.
const SIGNED: &[&str] = &["cron", "at", "start", "end", "anchor", "every", "timeout", "start_within", "spread"];

/// Reads a whole number of a flag; `most` is not named where it is the greatest there is.
pub fn whole<T: TryFrom<u64>>(least: u64, most: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| match most {
            u64::MAX => format!("{text:?} is not a whole number from {least}"),
            most => format!("{text:?} is not a whole number from {least} to {most}"),
        })
    }
}

/// Reads a cron expression as it is; one that begins with a sign is refused by its fields, a flag is none.
pub fn expression(text: &str) -> Result<String, String> {
    match text.strip_prefix('-').and_then(|rest| rest.chars().next()) {
        Some(first) if first == '-' || first.is_ascii_alphabetic() => {
            Err(format!("a value is needed, {text:?} is a flag"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// The fields that were given.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    given: Vec<(&'static str, Vec<String>)>,
}

/// How the texts of a flag become a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A text as it is.
    Text,
    /// A list; one alone is a text.
    List,
    /// A whole number.
    Whole,
    /// `key=value,...`, repeated, or JSON; the values are texts.
    Texts,
    /// The same with numbers and flags among the values, or a word alone.
    Settings,
    /// JSON, else a text.
    Json,
    /// Given or not.
    Flag,
    /// Comes with a later version: refused by the entry.
    Later,
}

/// Form, value and help of a flag.
fn about(field: &str) -> (Form, &'static str, &'static str) {
    match field {
        field if is_later(field) => (Form::Later, "VALUE", "Not in this version yet"),
        "cron" => (Form::List, "EXPRESSION", "When: five fields as in crontab, in quotes; may be repeated"),
        "every" => (Form::Text, "DURATION", "When: every 5s, 10m, 1h30m"),
        "at" => (Form::Text, "T", "When: once, at an instant, 02:00 or +2h"),
        "rrule" => (Form::Text, "RULE", "When: a rule of RFC 5545, FREQ=WEEKLY;BYDAY=MO;BYHOUR=9;BYMINUTE=0"),
        "tz" => (Form::Text, "ZONE", "Zone of the schedule, as Europe/Berlin [default: UTC]"),
        "start" => (Form::Text, "T", "No fire time before it"),
        "end" => (Form::Text, "T", "No fire time at or after it"),
        "anchor" => (Form::Text, "T", "The first fire time of every, where rrule begins"),
        "dst" => (Form::Texts, "RULE", "Clock changes: gap=run_after|skip|run_before, fold=first|last|both"),
        "max_fires" => (Form::Whole, "N", "Fire times in all; then it is finished"),
        "exclude" => (Form::List, "DATE", "Dates without fire times, or names of calendars; may be repeated"),
        "spread" => (Form::Text, "DURATION", "Each run up to this long after its fire time, to spread the load"),
        "exec" => (Form::Json, "LIST", "What: a program, as JSON list; or behind --"),
        "shell" => (Form::Text, "TEXT", "What: a text for /bin/sh -c"),
        "http" => (Form::Settings, "URL", "What: \"POST https://...\", or method=POST,url=..."),
        "celery" => (Form::Settings, "TASK", "What: a task for Celery workers, or task=...,kwargs.n=1,queue=..."),
        "stream" => (Form::Settings, "KEY", "What: a message into a Redis stream"),
        "list" => (Form::Settings, "KEY", "What: a message into a Redis list"),
        "publish" => (Form::Settings, "CHANNEL", "What: a message into a Redis channel"),
        "env" => (Form::Texts, "NAME=VALUE", "Variables of the command; may be secret:NAME"),
        "cwd" => (Form::Text, "DIR", "Folder of the command"),
        "payload" => (Form::Json, "JSON", "Standard input, body or message: JSON, or a text"),
        "queue" => (Form::Text, "Q", "Where runs wait [default: default]"),
        "timeout" => (Form::Text, "DURATION", "Length of one attempt"),
        "retry" => (Form::Settings, "RULE", "Attempts that failed: max_attempts=3,delay=10s,not_on=exit:2"),
        "delivery" => {
            (Form::Text, "RULE", "An attempt lost with its node is repeated, or not: at_least_once, at_most_once")
        }
        "overlap" => (Form::Text, "RULE", "While a run is active: skip, allow, buffer_one, buffer_all or cancel_other"),
        "catch_up" => (Form::Settings, "RULE", "Fire times found late: latest, none, all, or mode=all,max_runs=10"),
        "start_within" => (Form::Text, "DURATION", "What has not started by then is missed"),
        "max_running" => (Form::Whole, "N", "With overlap allow: active runs beyond it wait"),
        "keep_runs" => (Form::Whole, "N", "Runs that stay on record"),
        "labels" => (Form::Texts, "KEY=VALUE", "For people and for -l"),
        "note" => (Form::Text, "TEXT", "For people"),
        "paused" => (Form::Flag, "", "Create it paused"),
        _ => (Form::Later, "VALUE", "Not in this version yet"),
    }
}

impl clap::FromArgMatches for Fields {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for field in FIELDS {
            if about(field).0 == Form::Flag {
                if matches.get_flag(field) {
                    given.push((*field, Vec::new()));
                }
            } else if let Some(texts) = matches.get_many::<String>(field) {
                given.push((*field, texts.cloned().collect()));
            }
        }
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Fields {
    fn augment_args(mut command: Command) -> Command {
        for field in FIELDS {
            let (form, value, help) = about(field);
            let arg = Arg::new(*field).long(field.replace('_', "-")).help(help).help_heading("Fields");
            command = command.arg(match form {
                Form::Flag => arg.action(ArgAction::SetTrue),
                _ => {
                    // `-8h` and `-5` are values; for the others a forgotten value must not swallow the next flag.
                    let may_be_negative = form == Form::Json || SIGNED.contains(field);
                    let arg = if *field == "cron" { arg.value_parser(expression) } else { arg };
                    let arg = arg.action(ArgAction::Append).value_name(value).hide(form == Form::Later);
                    arg.allow_hyphen_values(may_be_negative).allow_negative_numbers(form == Form::Whole)
                }
            });
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl Fields {
    /// The expressions of `--cron`.
    pub fn crons(&self) -> &[String] {
        self.given.iter().find(|(field, _)| *field == "cron").map_or(&[], |(_, texts)| texts)
    }

    /// What was given for a field of one text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.given.iter().find(|(name, _)| *name == field)?.1.last().map(String::as_str)
    }

    /// The fields as values; `exec` is what stands behind `--`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] about a field that is given twice or is no table.
    pub fn values(&self, exec: &[String]) -> Result<Map<String, Value>> {
        let mut fields = Map::new();
        for (field, texts) in &self.given {
            fields.insert((*field).to_owned(), value(field, texts)?);
        }
        if !exec.is_empty() {
            if fields.contains_key("exec") {
                return Err(Error::invalid("exec", "is given by --exec and behind -- too"));
            }
            fields.insert("exec".to_owned(), Value::from(exec));
        }
        Ok(fields)
    }
}

fn value(field: &str, texts: &[String]) -> Result<Value> {
    let form = about(field).0;
    let is_table =
        matches!(form, Form::Texts) || (form == Form::Settings && texts.iter().all(|text| is_settings(field, text)));
    match (form, texts) {
        (Form::Flag, _) => Ok(Value::Bool(true)),
        (Form::List, [_, _, ..]) => Ok(Value::from(texts)),
        _ if is_table => table(field, texts, form == Form::Settings).map(Value::Object),
        (_, [text]) => match form {
            Form::Whole => Ok(text.parse::<u64>().map_or_else(|_| Value::from(text.as_str()), Value::from)),
            Form::Json => json_or_text(field, text),
            _ => Ok(Value::from(text.as_str())),
        },
        (_, [first, second, ..]) => {
            let flag = field.replace('_', "-");
            Err(Error::invalid(field, format!("--{flag} is given twice: {first:?} and {second:?}")))
        }
        (_, []) => Ok(Value::Null),
    }
}

/// JSON, else the text itself; what begins like JSON must be it.
pub fn json_or_text(field: &str, text: &str) -> Result<Value> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(why) if text.trim_start().starts_with(['{', '[', '"']) => {
            Err(Error::invalid(field, format!("not JSON: {why}"))
                .value(text)
                .hint("quote it for the shell: '{\"a\": 1}'"))
        }
        Err(_) => Ok(Value::from(text)),
    }
}

/// Whether the text is a table and not the short form of the field.
fn is_settings(field: &str, text: &str) -> bool {
    let known: &[&str] = match field {
        "http" => &["method", "url", "headers", "ok"],
        "stream" | "list" => &["key", "max_len", "trim", "raw"],
        "celery" => keys_of("celery"),
        "publish" => &["channel", "raw"],
        _ => &["mode", "max_runs", "per_minute"],
    };
    // It has no short form: what is no table is refused by its keys.
    if field == "retry" && text.contains('=') {
        return true;
    }
    let key = text.split_once('=').map(|(key, _)| key.split('.').next().unwrap_or_default());
    text.starts_with('{') || key.is_some_and(|key| known.contains(&key))
}

/// The pairs of all texts; a later one wins.
fn table(field: &str, texts: &[String], is_typed: bool) -> Result<Map<String, Value>> {
    let mut table = Map::new();
    for text in texts {
        if text.starts_with('{') {
            match json_or_text(field, text)? {
                Value::Object(pairs) => table.extend(pairs),
                _ => return Err(Error::invalid(field, "is not a table").value(text.as_str())),
            }
            continue;
        }
        for pair in pairs(text) {
            let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                let error = Error::invalid(field, format!("{pair:?} is not KEY=VALUE")).value(text.as_str());
                return Err(match field {
                    "dst" if Gap::WORDS.iter().any(|(word, _)| *word == pair) => {
                        error.hint(format!("as in gap={pair}"))
                    }
                    "dst" if Fold::WORDS.iter().any(|(word, _)| *word == pair) => {
                        error.hint(format!("as in fold={pair}"))
                    }
                    _ => error,
                });
            };
            let typed = serde_json::from_str::<Value>(value).ok().filter(|_| is_typed);
            let value = typed.filter(|value| !value.is_string()).unwrap_or_else(|| Value::from(value));
            match key.split_once('.').filter(|_| is_typed) {
                Some((outer_key, inner)) => {
                    let outer = table.entry(outer_key).or_insert_with(|| Value::Object(Map::new()));
                    if let (Value::Object(inside), Some((_, text))) = (outer, pair.split_once('=')) {
                        inside.insert(
                            inner.to_owned(),
                            if is_argument(field, outer_key) { value } else { Value::from(text) },
                        );
                    }
                }
                None => {
                    table.insert(key.to_owned(), value);
                }
            }
        }
    }
    Ok(table)
}

/// Whether the keys under `outer` are arguments of a task, numbers among them, and not texts as the headers of a request.
fn is_argument(field: &str, outer: &str) -> bool {
    field == "celery" && matches!(outer, "kwargs" | "headers")
}

/// Splits at commas before the next `key=`; any other comma belongs to its value.
fn pairs(text: &str) -> Vec<String> {
    let mut pairs: Vec<String> = Vec::new();
    for part in text.split(',') {
        let is_key = |key: &str| {
            !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        };
        let begins = part.split_once('=').is_some_and(|(key, _)| is_key(key));
        match pairs.last_mut() {
            Some(last) if !begins => {
                last.push(',');
                last.push_str(part);
            }
            _ => pairs.push(part.to_owned()),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(field: &'static str, texts: &[&str]) -> Value {
        value(field, &texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn tables_merge_and_take_pairs_or_json() {
        assert_eq!(read("labels", &["a=1,b=x,y", r#"{"c": "z"}"#]), json!({"a": "1", "b": "x,y", "c": "z"}));
        assert_eq!(read("catch_up", &["mode=all,max_runs=5"]), json!({"mode": "all", "max_runs": 5}));
        assert_eq!(read("catch_up", &["latest"]), json!("latest"));
        assert_eq!(
            read("http", &["method=PUT,url=https://a/?b=1,c", "headers.X-A=5", "ok=[\"200\"]"]),
            json!({"method": "PUT", "url": "https://a/?b=1,c", "headers": {"X-A": "5"}, "ok": ["200"]})
        );
        assert_eq!(read("http", &["POST https://a/?url=b"]), json!("POST https://a/?url=b"));
        assert_eq!(
            read(
                "retry",
                &["max_attempts=3,delay=10s", "jitter=0.5,not_on=exit:2,http:400-499", r#"{"within": "2h"}"#]
            ),
            json!({"max_attempts": 3, "delay": "10s", "jitter": 0.5, "not_on": "exit:2,http:400-499", "within": "2h"})
        );
        assert_eq!(
            read("celery", &["task=app.report,args=[1,\"x\"]", "kwargs.n=5,kwargs.to=ops,priority=3"]),
            json!({"task": "app.report", "args": [1, "x"], "kwargs": {"n": 5, "to": "ops"}, "priority": 3})
        );
        assert_eq!(read("celery", &["app.report"]), json!("app.report"));
        assert_eq!(read("retry", &["retries=3"]), json!({"retries": 3}));
        assert_eq!(read("retry", &["3"]), json!("3"));
    }

    #[test]
    fn a_list_of_one_is_a_text_and_a_payload_may_be_one() {
        assert_eq!(read("cron", &["@daily"]), json!("@daily"));
        assert_eq!(read("cron", &["@daily", "@hourly"]), json!(["@daily", "@hourly"]));
        assert_eq!(read("payload", &["hello"]), json!("hello"));
        assert_eq!(read("payload", &["[1]"]), json!([1]));
        assert!(value("payload", &["{bad".to_owned()]).is_err());
        assert!(value("every", &["1s".to_owned(), "2s".to_owned()]).is_err());
    }
}
