//! Which queue a message goes to, where an entry names an exchange and a routing key.

use crate::error::{Error, Result};

use super::shortened;

/// How an exchange chooses its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Those bound with the very routing key.
    Direct,
    /// Those bound with a pattern that matches it: `*` is one word, `#` any number of them.
    Topic,
    /// All.
    Fanout,
}

/// A queue that an exchange leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Name of the exchange.
    pub exchange: String,
    /// How it chooses.
    pub kind: ExchangeKind,
    /// The routing key, or the pattern of a topic exchange.
    pub routing_key: String,
    /// Name of the queue.
    pub queue: String,
}

impl Binding {
    fn leads(&self, exchange: &str, routing_key: &str) -> bool {
        self.exchange == exchange
            && match self.kind {
                ExchangeKind::Direct => self.routing_key == routing_key,
                ExchangeKind::Fanout => true,
                ExchangeKind::Topic => {
                    let pattern: Vec<&str> = self.routing_key.split('.').collect();
                    topic_matches(&pattern, &routing_key.split('.').collect::<Vec<_>>())
                }
            }
    }
}

/// The one queue that `exchange` with `routing_key` leads to.
///
/// # Errors
///
/// Invalid, where no queue is bound, where several are, and where the exchange sends to whoever listens.
pub(super) fn queue_of(exchange: &str, routing_key: &str, bindings: &[Binding]) -> Result<String> {
    let field = "options.exchange";
    let mut queues: Vec<&str> = Vec::new();
    for binding in bindings.iter().filter(|binding| binding.leads(exchange, routing_key)) {
        if binding.kind == ExchangeKind::Fanout {
            let why = format!("\"{}\" is a fanout: Celery publishes it to whoever listens", shortened(exchange));
            return Err(Error::invalid(field, why).hint("name a queue, one entry for each"));
        }
        if !queues.contains(&binding.queue.as_str()) {
            queues.push(&binding.queue);
        }
    }
    match queues[..] {
        [queue] => Ok(queue.to_owned()),
        [] => {
            let why = format!(
                "\"{}\" has no binding for \"{}\": Celery drops this message today, silently",
                shortened(exchange),
                shortened(routing_key)
            );
            Err(Error::invalid(field, why).hint("name a queue: options = {\"queue\": \"...\"}"))
        }
        _ => {
            let queues = queues.join(", ");
            let why = format!("\"{}\" leads to {}", shortened(exchange), shortened(&queues));
            Err(Error::invalid(field, why).hint("name a queue, one entry for each"))
        }
    }
}

/// Each word of the pattern stands for itself, `*` for one word, `#` for any number of them.
fn topic_matches(pattern: &[&str], words: &[&str]) -> bool {
    // Reached says after which words the pattern so far can end: no search goes back, however many # there are.
    let mut reached = vec![false; words.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; words.len() + 1];
        for at in 0..=words.len() {
            next[at] = match *part {
                "#" => reached[at] || (at > 0 && next[at - 1]),
                "*" => at > 0 && reached[at - 1],
                word => at > 0 && reached[at - 1] && words[at - 1] == word,
            };
        }
        reached = next;
    }
    reached[words.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(kind: ExchangeKind, routing_key: &str, queue: &str) -> Binding {
        Binding { exchange: "ex".to_owned(), kind, routing_key: routing_key.to_owned(), queue: queue.to_owned() }
    }

    #[test]
    fn one_bound_queue_is_the_one() {
        let bindings = [binding(ExchangeKind::Direct, "a", "q1"), binding(ExchangeKind::Direct, "b", "q2")];
        assert_eq!(queue_of("ex", "b", &bindings), Ok("q2".to_owned()));
        let said = queue_of("ex", "c", &bindings).map_err(|error| error.to_string());
        assert_eq!(
            said,
            Err("options.exchange: \"ex\" has no binding for \"c\": Celery drops this message today, silently"
                .to_owned())
        );
        assert!(queue_of("other", "b", &bindings).is_err());
    }

    #[test]
    fn a_topic_matches_by_words() {
        let leads = |pattern: &str, key: &str| binding(ExchangeKind::Topic, pattern, "q").leads("ex", key);
        assert!(leads("feed.*", "feed.eu") && !leads("feed.*", "feed") && !leads("feed.*", "feed.eu.de"));
        assert!(
            leads("feed.#", "feed") && leads("feed.#", "feed.eu.de") && leads("#", "") && leads("#.de", "feed.eu.de")
        );
        assert!(!leads("#.de", "feed.eu.at") && leads("#.#.#.a", "b.b.a"));
    }

    #[test]
    fn several_queues_are_refused() {
        let bindings = [binding(ExchangeKind::Topic, "a.#", "q1"), binding(ExchangeKind::Topic, "#.b", "q2")];
        assert!(queue_of("ex", "a.b", &bindings).is_err());
        assert_eq!(queue_of("ex", "a.c", &bindings), Ok("q1".to_owned()));
        assert!(queue_of("ex", "x", &[binding(ExchangeKind::Fanout, "", "q")]).is_err());
    }
}
