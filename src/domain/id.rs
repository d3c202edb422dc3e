//! Names that exist only if they are valid: entry ids, namespaces, queues, owners, calendars.

mod list;

use std::fmt;

use crate::error::{Error, Problem, Result};

pub use list::IdList;

/// Longest entry id, bytes.
pub const ENTRY_ID_MAX_BYTES: usize = 200;
/// Longest namespace, queue or owner, bytes.
pub const NAME_MAX_BYTES: usize = 64;
/// What every key of upbeat begins with; no target of an action may.
pub const KEY_PREFIX: &str = "upbeat:";

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Checks `text`; complaints name `field`.
            pub fn parse(field: &str, text: &str) -> Result<Self> {
                $check(field, text)?;
                Ok(Self(text.to_owned()))
            }

            /// The text of it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type!(
    /// What an entry is called: 1 to 200 bytes, letters and digits of any script and `. _ - : +`, first a letter or
    /// a digit; never what looks like a UUID, because run ids do.
    EntryId,
    check_entry_id
);
name_type!(
    /// One tenant's name: 1 to 64 of `a-z 0-9 . _ -`.
    Namespace,
    check_name
);
name_type!(
    /// A queue's name: 1 to 64 of `a-z 0-9 . _ -`.
    QueueName,
    check_name
);
name_type!(
    /// Who applied an entry: 1 to 64 of `a-z 0-9 . _ -`.
    Owner,
    check_name
);

name_type!(
    /// A calendar's name: 1 to 64 of `a-z 0-9 . _ -`.
    CalendarName,
    check_name
);

impl Default for Namespace {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// Whether a key or channel lies under upbeat's own prefix.
pub fn is_upbeat_key(target: &str) -> bool {
    target.starts_with(KEY_PREFIX)
}

fn check_entry_id(field: &str, text: &str) -> Result<()> {
    let refuse = |why: String| Error::Invalid(Problem::new(field, why).value(text));
    if text.is_empty() {
        return Err(refuse("an id is needed, this one is empty".to_owned()));
    }
    if text.len() > ENTRY_ID_MAX_BYTES {
        let why = format!("{} bytes are too many for an id, {ENTRY_ID_MAX_BYTES} are the most", text.len());
        return Err(refuse(why));
    }
    if let Some(odd) = text.chars().find(|&c| !is_id_char(c)) {
        let why = format!("{} may not contain {}", quoted(text), shown_char(odd));
        return Err(refuse(why).hint(id_hint(text)));
    }
    if !text.starts_with(char::is_alphanumeric) {
        let why = format!("{} does not begin with a letter or a digit", quoted(text));
        return Err(refuse(why).hint(id_hint(text)));
    }
    if uuid::Uuid::try_parse(text).is_ok() {
        let why = format!("{} looks like a UUID, as run ids do", quoted(text));
        return Err(refuse(why).hint(format!("put a word before it: \"job-{text}\"")));
    }
    Ok(())
}

fn check_name(field: &str, text: &str) -> Result<()> {
    let refuse = |why: String| Error::Invalid(Problem::new(field, why).value(text));
    let hint = "1 to 64 of a-z 0-9 . _ -";
    if text.is_empty() {
        return Err(refuse("a name is needed, this one is empty".to_owned()).hint(hint));
    }
    if text.len() > NAME_MAX_BYTES {
        let why = format!("{} bytes are too many for a name, {NAME_MAX_BYTES} are the most", text.len());
        return Err(refuse(why));
    }
    if let Some(odd) = text.chars().find(|&c| !is_name_char(c)) {
        let why = format!("{} may not contain {}", quoted(text), shown_char(odd));
        return Err(refuse(why).hint(format!("{hint}; for example \"{}\"", plain_name(text))));
    }
    Ok(())
}

/// The nearest valid name: lower case, other characters `-`, cut to its length; empty only for the empty text.
pub(crate) fn plain_name(text: &str) -> String {
    let mut name: String = text.to_lowercase().chars().map(|c| if is_name_char(c) { c } else { '-' }).collect();
    name.truncate(NAME_MAX_BYTES);
    name
}

/// The nearest valid id: what may not be in one becomes `-`; `None` where nothing is left of it.
pub(crate) fn plain_id(text: &str) -> Option<String> {
    let mut id = String::new();
    for c in text.chars() {
        let c = if is_id_char(c) { c } else { '-' };
        if id.is_empty() && !c.is_alphanumeric() || c == '-' && id.ends_with('-') {
            continue;
        }
        if id.len() + c.len_utf8() > ENTRY_ID_MAX_BYTES {
            break;
        }
        id.push(c);
    }
    let id = id.trim_end_matches('-');
    (!id.is_empty()).then(|| id.to_owned())
}

fn id_hint(text: &str) -> String {
    let rule = "letters and digits of any script and . _ - : +, first a letter or a digit";
    match plain_id(text) {
        Some(id) => format!("{rule}; for example \"{id}\""),
        None => rule.to_owned(),
    }
}

fn is_id_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '+')
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-')
}

/// The text in quotes, with everything escaped that would not be seen.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn shown_char(c: char) -> String {
    match c {
        ' ' => "a blank".to_owned(),
        '\n' => "a newline (\\n)".to_owned(),
        c if c.is_ascii_uppercase() => format!("upper case ({c})"),
        c => format!("{c:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Problem {
        EntryId::parse("entry", text).unwrap_err().problem().clone()
    }

    #[test]
    fn ids_take_letters_of_any_script() {
        for id in ["a", "7", "daily-report", "reports.daily", "Müll-Abfuhr", "日报", "a_b:c+d", "0.1", "d41d8cd9"] {
            assert_eq!(EntryId::parse("entry", id).unwrap().as_str(), id);
        }
        assert!(EntryId::parse("entry", &"x".repeat(200)).is_ok());
    }

    #[test]
    fn an_id_with_something_invisible_is_refused_and_shown_escaped() {
        assert!(refusal("a\nb").message.contains(r#""a\nb""#));
        assert!(refusal("a b").message.contains("a blank"));
        assert_eq!(refusal("a b").hint.unwrap().split('"').nth(1), Some("a-b"));
        assert!(refusal("a\u{200b}b").message.contains("200b"));
        for id in ["", "-a", ".a", "_", "a/b", "a\0", "é\u{301}\u{301}", &"x".repeat(201), "a\t"] {
            EntryId::parse("entry", id).unwrap_err();
        }
    }

    #[test]
    fn an_id_that_looks_like_a_run_id_is_refused() {
        for id in [
            "7c1e0a52-9d0f-4c1e-8a44-0b6a6f2f9c11",
            "7C1E0A52-9D0F-4C1E-8A44-0B6A6F2F9C11",
            "7c1e0a529d0f4c1e8a440b6a6f2f9c11",
            "urn:uuid:7c1e0a52-9d0f-4c1e-8a44-0b6a6f2f9c11",
        ] {
            assert!(refusal(id).message.contains("UUID"), "{id}");
        }
        assert!(EntryId::parse("entry", "job-7c1e0a52-9d0f-4c1e-8a44-0b6a6f2f9c11").is_ok());
    }

    #[test]
    fn names_are_lower_case_and_short() {
        assert_eq!(QueueName::default().as_str(), "default");
        assert_eq!(Namespace::default().to_string(), "default");
        assert_eq!(Owner::parse("owner", "a.b_c-9").unwrap().as_str(), "a.b_c-9");
        let problem = Namespace::parse("namespace", "Prod").unwrap_err();
        assert_eq!(problem.problem().message, "\"Prod\" may not contain upper case (P)");
        assert!(problem.problem().hint.clone().unwrap().contains("\"prod\""));
        for bad in ["", "a b", "ä", "{a}", "a:b", "a\n", &"x".repeat(65)] {
            QueueName::parse("queue", bad).unwrap_err();
        }
    }

    #[test]
    fn keys_of_upbeat_are_known_by_their_prefix() {
        assert!(is_upbeat_key("upbeat:{default:0}:due"));
        assert!(!is_upbeat_key("upbeat"));
        assert!(!is_upbeat_key("my-upbeat:x"));
    }
}
