//! Manifests as they come: YAML with several documents, JSON, lists of either.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::import::Refused;

/// Nesting of a manifest, levels.
const DEPTH_MAX: usize = 64;

/// One manifest of interest.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Where it stands.
    pub place: String,
    pub value: Value,
}

/// What stands in all texts.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub cron_jobs: Vec<Manifest>,
    /// Data of ConfigMaps, by namespace and name.
    pub config_maps: BTreeMap<(String, String), BTreeMap<String, String>>,
    /// Keys of Secrets; their values are not looked at.
    pub secrets: BTreeMap<(String, String), Vec<String>>,
    /// What can't be read.
    pub unread: Vec<Refused>,
    /// Kinds that are passed over, and how many there are.
    pub others: BTreeMap<String, usize>,
}

impl Documents {
    /// Takes in a text; `name` is how places call it, where there are several.
    pub fn read(&mut self, name: Option<&str>, text: &str) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let prefix = name.map(|name| format!("{name}: ")).unwrap_or_default();
        if text.trim_start().starts_with(['{', '[']) {
            match serde_json::from_str(text) {
                Ok(value) => return self.take(&prefix, "document 1", value, 0),
                // Flow style of YAML begins so, too.
                Err(why) if !is_flow(text) => {
                    return self.refuse(&prefix, "document 1", why.to_string(), text);
                }
                Err(_) => {}
            }
        }
        for (at, (line, document)) in split(text).into_iter().enumerate() {
            let place = format!("document {} (line {line})", at + 1);
            let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_depth: DEPTH_MAX } };
            match serde_saphyr::from_str_with_options::<Value>(document, options) {
                Ok(value) => self.take(&prefix, &place, value, 0),
                Err(why) => {
                    let why = why.to_string().lines().next().unwrap_or_default().to_owned();
                    self.refuse(&prefix, &place, why, document);
                }
            }
        }
    }

    fn take(&mut self, prefix: &str, place: &str, mut value: Value, depth: usize) {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, version) = (text("kind"), text("apiVersion"));
        if let Value::Array(items) = value {
            return self.take_all(prefix, place, items, depth);
        }
        match kind.as_str() {
            "" if value.is_null() => {}
            "" => self.refuse(prefix, place, "it has no kind: no manifest".to_owned(), &value.to_string()),
            "List" | "CronJobList" | "ConfigMapList" | "SecretList" => match value.get_mut("items").map(Value::take) {
                Some(Value::Array(mut items)) => {
                    // The API leaves out what the name of the list says.
                    if let Some(kind) = kind.strip_suffix("List").filter(|kind| !kind.is_empty()) {
                        items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| {
                            item.entry("kind").or_insert_with(|| kind.into());
                            item.entry("apiVersion").or_insert_with(|| version.as_str().into());
                        });
                    }
                    self.take_all(prefix, place, items, depth);
                }
                None | Some(Value::Null) => {}
                Some(_) => self.refuse(prefix, place, format!("items of the {kind} is no list"), &kind),
            },
            "CronJob" if version.starts_with("batch/") => {
                let place = match shown(&value) {
                    (namespace, name) if !name.is_empty() && !namespace.is_empty() => format!("{namespace}/{name}"),
                    (_, name) if !name.is_empty() => name,
                    _ => place.to_owned(),
                };
                self.cron_jobs.push(Manifest { place: format!("{prefix}{place}"), value });
            }
            "CronJob" => {
                let why = format!("apiVersion is {version:?}, CronJobs of Kubernetes have batch/v1");
                self.refuse(prefix, place, why, &value.to_string());
            }
            "ConfigMap" => {
                let texts = |data: &serde_json::Map<String, Value>| {
                    data.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
                };
                let data = value.get("data").and_then(Value::as_object).map(texts).unwrap_or_default();
                self.config_maps.insert(named(&value), data);
            }
            "Secret" => {
                let keys = ["data", "stringData"].iter().filter_map(|data| value.get(*data)?.as_object());
                self.secrets.insert(named(&value), keys.flat_map(|data| data.keys().cloned()).collect());
            }
            _ => *self.others.entry(kind).or_default() += 1,
        }
    }

    fn refuse(&mut self, prefix: &str, place: &str, reason: String, document: &str) {
        let hint = document.contains("{{").then(|| "a template: helm template CHART | upbeat import k8s -".to_owned());
        let place = format!("{prefix}{place}");
        self.unread.push(Refused { place, text: front(document), reason, hint });
    }

    fn take_all(&mut self, prefix: &str, place: &str, items: Vec<Value>, depth: usize) {
        if depth > 2 {
            let why = "a list in a list in a list is nothing that Kubernetes prints";
            return self.refuse(prefix, place, why.to_owned(), "");
        }
        for (at, item) in items.into_iter().enumerate() {
            self.take(prefix, &format!("{place}, item {}", at + 1), item, depth + 1);
        }
    }
}

/// Namespace and name.
fn named(value: &Value) -> (String, String) {
    let text = |key: &str| value.pointer(&format!("/metadata/{key}")).and_then(Value::as_str).unwrap_or_default();
    (text("namespace").to_owned(), text("name").to_owned())
}

/// The same, as far as it is worth showing.
fn shown(value: &Value) -> (String, String) {
    let (namespace, name) = named(value);
    (front(&namespace), front(&name))
}

/// What stands at the front of a text, as far as it is worth showing.
fn front(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().chars().take(100).collect()
}

/// Whether a text that begins with a brace is YAML rather than JSON that is cut off.
fn is_flow(text: &str) -> bool {
    !text.trim_start().starts_with("{\"") && !text.trim_start().starts_with("{\n")
}

/// The documents of a text, each with the number of its first line.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut line, mut at) = (0, 1, 0);
    for (number, content) in (1..).zip(text.split_inclusive('\n')) {
        let is_mark = |mark| {
            content.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        if is_mark("---") || is_mark("...") {
            documents.push((line, &text[start..at]));
            // What follows on the line of the mark belongs to the document.
            start = at + 3;
            line = number;
        }
        at += content.len();
    }
    documents.push((line, &text[start..]));
    let is_full =
        |document: &str| document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    documents.retain(|(_, document)| is_full(document));
    documents
}
