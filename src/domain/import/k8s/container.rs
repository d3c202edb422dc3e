//! The one container of a CronJob as a command: its words, its variables, and `$(NAME)` in both.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::documents::Documents;
use super::{items, text};
use crate::domain::entry::is_env_name;
use crate::domain::secret::secret_name;
use crate::error::{Error, Result};

/// A container that was carried over.
#[derive(Debug, Default)]
pub(super) struct Command {
    pub words: Vec<String>,
    pub env: Map<String, Value>,
    /// Secrets that nodes have to be given, with where they come from; also those of containers before it.
    pub secrets: BTreeMap<String, String>,
}

/// What a variable holds.
enum Held {
    Text(String),
    /// Only nodes know it.
    Secret,
}

const KUBECTL: &str = "--run kubectl keeps the container as it is";

/// Reads `command`, `args`, `env` and `envFrom`. `named` are the secrets that containers before it need.
pub(super) fn read(
    container: &Value,
    namespace: &str,
    documents: &Documents,
    named: &BTreeMap<String, String>,
) -> Result<Command> {
    let words = |key: &str| -> Result<Vec<String>> {
        items(container, key)?.map(|word| Ok(text(key, Some(word))?.unwrap_or_default().to_owned())).collect()
    };
    let (mut command, args) = (words("command")?, words("args")?);
    if command.is_empty() {
        let image = container.get("image").and_then(Value::as_str).unwrap_or("");
        return Err(Error::invalid("command", format!("is missing: what runs is the entrypoint of the image {image}"))
            .hint(format!("write the command into the manifest, or {KUBECTL}")));
    }
    command.extend(args);
    let mut read = Command { secrets: named.clone(), ..Command::default() };
    let mut held = BTreeMap::new();
    for source in items(container, "envFrom")? {
        read.all_of(source, namespace, documents, &mut held)?;
    }
    for variable in items(container, "env")? {
        read.one(variable, namespace, documents, &mut held)?;
    }
    for word in command {
        read.words.push(expanded("command", &word, &held)?);
    }
    for (name, held) in held {
        if let Held::Text(value) = held {
            if secret_name(&value).is_some() {
                let why = "a value that begins with secret: has a meaning here";
                return Err(Error::invalid(format!("env.{name}"), why).hint(KUBECTL));
            }
            read.env.insert(name, Value::from(value));
        }
    }
    read.env.sort_keys();
    Ok(read)
}

impl Command {
    /// `envFrom`: every key of a ConfigMap or a Secret.
    fn all_of(
        &mut self,
        source: &Value,
        namespace: &str,
        documents: &Documents,
        held: &mut BTreeMap<String, Held>,
    ) -> Result<()> {
        let prefix = source.get("prefix").and_then(Value::as_str).unwrap_or_default();
        if let Some(reference) = source.get("configMapRef") {
            let name = name_of(reference);
            match documents.config_maps.get(&(namespace.to_owned(), name.to_owned())) {
                Some(data) => {
                    for (key, value) in data {
                        held.insert(format!("{prefix}{key}"), Held::Text(value.clone()));
                    }
                }
                None if is_optional(reference) => {}
                None => return Err(absent("envFrom", "ConfigMap", name)),
            }
        }
        if let Some(reference) = source.get("secretRef") {
            let name = name_of(reference);
            match documents.secrets.get(&(namespace.to_owned(), name.to_owned())) {
                Some(keys) => {
                    for key in keys {
                        self.secret(&format!("{prefix}{key}"), (namespace, name, key), held)?;
                    }
                }
                None if is_optional(reference) => {}
                None => return Err(absent("envFrom", "Secret", name)),
            }
        }
        Ok(())
    }

    /// One of `env`.
    fn one(
        &mut self,
        variable: &Value,
        namespace: &str,
        documents: &Documents,
        held: &mut BTreeMap<String, Held>,
    ) -> Result<()> {
        let name = name_of(variable);
        let field = format!("env.{name}");
        if !is_env_name(name) {
            return Err(Error::invalid(field, format!("{name:?} is not the name of a variable")));
        }
        let Some(from) = variable.get("valueFrom").filter(|from| !from.is_null()) else {
            let value = text(&field, variable.get("value"))?.unwrap_or_default();
            let value = expanded(&field, value, held)?;
            held.insert(name.to_owned(), Held::Text(value));
            return Ok(());
        };
        let key = |reference: &Value| reference.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(reference) = from.get("secretKeyRef") {
            self.secret(name, (namespace, name_of(reference), &key(reference)), held)?;
            return Ok(());
        }
        if let Some(reference) = from.get("configMapKeyRef") {
            let map = documents.config_maps.get(&(namespace.to_owned(), name_of(reference).to_owned()));
            match map.and_then(|data| data.get(&key(reference))) {
                Some(value) => {
                    held.insert(name.to_owned(), Held::Text(value.clone()));
                }
                None if is_optional(reference) => {}
                None => return Err(absent(&field, "ConfigMap", name_of(reference))),
            }
            return Ok(());
        }
        let what = from.as_object().and_then(|from| from.keys().next()).map_or("valueFrom", String::as_str);
        Err(Error::invalid(field, format!("{what} is something of a pod, and there is none")).hint(KUBECTL))
    }

    /// A value of a Secret has a name of its own on nodes: names alike may be of other namespaces, or differ in what a
    /// variable can't have.
    fn secret(
        &mut self,
        variable: &str,
        (namespace, name, key): (&str, &str, &str),
        held: &mut BTreeMap<String, Held>,
    ) -> Result<()> {
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
        };
        let short = format!("{}_{}", plain(name), plain(key));
        let (origin, long) = match namespace {
            "" => (format!("{key} of Secret {name}"), short.clone()),
            _ => (format!("{key} of Secret {name} in {namespace}"), format!("{}_{short}", plain(namespace))),
        };
        let secret = [short, long.clone()]
            .into_iter()
            .chain((2..=self.secrets.len() + 2).map(|count| format!("{long}_{count}")))
            .find(|secret| self.secrets.get(secret).is_none_or(|taken| *taken == origin))
            .ok_or_else(|| Error::internal("no name of a secret is free"))?;
        self.env.insert(variable.to_owned(), Value::from(format!("secret:{secret}")));
        self.secrets.insert(secret, origin);
        held.insert(variable.to_owned(), Held::Secret);
        Ok(())
    }
}

fn absent(field: &str, kind: &str, name: &str) -> Error {
    Error::invalid(field, format!("{kind} {name} is not among the manifests"))
        .hint("give it along: kubectl get cronjobs,configmaps,secrets -o yaml | upbeat import k8s -")
}

fn name_of(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn is_optional(reference: &Value) -> bool {
    reference.get("optional").and_then(Value::as_bool).unwrap_or_default()
}

/// `$(NAME)` as the value of a variable that stands above, `$$` as `$`; what is unknown stays as it is.
fn expanded(field: &str, text: &str, held: &BTreeMap<String, Held>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let named = rest.strip_prefix('(').and_then(|name| name.split_once(')'));
        match named.map(|(name, after)| (held.get(name), name, after)) {
            Some((Some(Held::Text(value)), _, after)) => {
                out.push_str(value);
                rest = after;
            }
            Some((Some(Held::Secret), name, _)) => {
                return Err(Error::invalid(field, format!("$({name}) is a secret, which only the node knows"))
                    .hint(format!("let a shell read it: command: [sh, -c, '... \"${name}\"']; or {KUBECTL}")));
            }
            _ => out.push('$'),
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_kubernetes_does() {
        let mut held = BTreeMap::from([("A".to_owned(), Held::Text("1".to_owned()))]);
        for (text, wanted) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(B)", "$(B)"),
            ("$A ${A} $", "$A ${A} $"),
            ("$(A", "$(A"),
            ("$()", "$()"),
        ] {
            assert_eq!(expanded("command", text, &held).unwrap(), wanted, "{text}");
        }
        held.insert("S".to_owned(), Held::Secret);
        assert!(expanded("command", "$(S)", &held).is_err());
    }
}
