//! The part of a Celery message that is the same for all runs of an entry, packed for `lua/parts/celery.lua`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Celery, python};
use crate::domain::id::{EntryId, Namespace};
use crate::domain::span::Span;

/// What stands behind the arguments in a body: nothing that beat could send.
const EMBED: &str = "{\"callbacks\": null, \"errbacks\": null, \"chain\": null, \"chord\": null}";

impl Celery {
    /// Body, properties and headers of its messages, but for what belongs to a run: ids, instants, trigger.
    ///
    /// `>I6I6I4I4`: `expires` and `countdown` in ms, 0 for none; lengths of body and properties; then the three.
    pub fn template(&self, namespace: &Namespace, id: &EntryId) -> Vec<u8> {
        let (body, properties, headers) = (self.body(), self.properties(), self.own_headers(namespace, id));
        let mut packed = Vec::with_capacity(20 + body.len() + properties.len() + headers.len());
        for span in [self.expires, self.countdown] {
            packed.extend(&span.map_or(0, Span::ms).to_be_bytes()[2..]);
        }
        for part in [&body, &properties] {
            packed.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        for part in [body, properties, headers] {
            packed.extend(part.into_bytes());
        }
        packed
    }

    /// Base64 of `[args, kwargs, embed]`.
    fn body(&self) -> String {
        let mut body = String::from("[");
        python::json_list(&mut body, &self.args);
        body.push_str(", ");
        python::json_table(&mut body, &self.kwargs);
        body.push_str(", ");
        body.push_str(EMBED);
        body.push(']');
        STANDARD.encode(body)
    }

    /// From the routing key on.
    fn properties(&self) -> String {
        let mut text = String::from("\"routing_key\": ");
        python::json_text(&mut text, &self.queue);
        text.push_str(&format!("}}, \"priority\": {}", self.priority));
        if let Some(expires) = self.expires {
            text.push_str(&format!(", \"expiration\": \"{}\"", expires.ms()));
        }
        text
    }

    fn own_headers(&self, namespace: &Namespace, id: &EntryId) -> String {
        let mut text = String::from("\"task\": ");
        python::json_text(&mut text, &self.task);
        let limit = |span: Option<Span>| span.map_or_else(|| "null".to_owned(), seconds);
        text.push_str(&format!(", \"timelimit\": [{}, {}]", limit(self.time_limit), limit(self.soft_time_limit)));
        // A run that waits for a result needs one, whatever the task says of itself.
        text.push_str(if self.is_tracked { ", \"ignore_result\": false" } else { ", \"ignore_result\": null" });
        let ours = [
            ("argsrepr", python::repr_args(&self.args)),
            ("kwargsrepr", python::repr_kwargs(&self.kwargs)),
            ("origin", format!("upbeat@{namespace}")),
            ("upbeat_entry_id", id.to_string()),
            ("upbeat_namespace", namespace.to_string()),
        ];
        let ours = ours.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text)));
        for (name, value) in ours.chain(self.headers.clone()) {
            text.push_str(", ");
            python::json_text(&mut text, &name);
            text.push_str(": ");
            python::json(&mut text, &value);
        }
        text
    }
}

/// Celery counts limits in seconds.
fn seconds(span: Span) -> String {
    match span.0 % 1000 {
        0 => (span.0 / 1000).to_string(),
        rest => format!("{}.{rest:03}", span.0 / 1000),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::celery::tests::celery;

    #[test]
    fn a_template_has_all_that_does_not_change_from_run_to_run() {
        let one = celery(serde_json::json!({
            "task": "app.tasks.report", "args": ["ä"], "kwargs": {"n": 1}, "queue": "other", "priority": 5, "expires": "60s",
            "countdown": "2s", "time_limit": "90s", "soft_time_limit": "1500ms", "headers": {"tenant": {"a": [1]}},
        }));
        let (namespace, id) = (Namespace::parse("n", "prod").unwrap(), EntryId::parse("id", "a.b").unwrap());
        let packed = one.template(&namespace, &id);
        assert_eq!(packed[..12], [0, 0, 0, 0, 0xea, 0x60, 0, 0, 0, 0, 0x07, 0xd0]);
        let text = String::from_utf8(packed[20..].to_vec()).unwrap();
        let (body, rest) = text.split_once("\"routing_key\"").unwrap();
        let body = String::from_utf8(STANDARD.decode(body).unwrap()).unwrap();
        assert_eq!(body, format!("[[\"\\u00e4\"], {{\"n\": 1}}, {EMBED}]"));
        assert_eq!(
            rest,
            ": \"other\"}, \"priority\": 5, \"expiration\": \"60000\"\"task\": \"app.tasks.report\", \"timelimit\": [90, 1.500], \
             \"ignore_result\": null, \"argsrepr\": \"('\\u00e4',)\", \"kwargsrepr\": \"{'n': 1}\", \"origin\": \"upbeat@prod\", \
             \"upbeat_entry_id\": \"a.b\", \"upbeat_namespace\": \"prod\", \"tenant\": {\"a\": [1]}"
        );
    }
}
