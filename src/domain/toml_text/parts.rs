//! Long TOML files in parts, on as many threads as there are processors.
//!
//! A file is cut where a plain `[entries.NAME]` opens a line. Each part but the last must end where it may end, outside of any text or
//! list: what opens there and is not closed makes it invalid. Where a part is invalid, or two parts say something about the
//! same key, the file is read whole, and that decides.

use serde_json::{Map, Value};

use crate::domain::threads::pieces_in_threads;

/// What a parser makes of a part takes twenty times as much memory; bytes.
const PART_BYTES: usize = 512 * 1024;
const SECTION: &str = "entries";

/// The document; `None` where it has to be read whole.
pub(super) fn parse(
    text: &str,
    read: impl Fn(&str) -> Option<Map<String, Value>> + Sync,
) -> Option<Map<String, Value>> {
    parse_in(text.len() / PART_BYTES, text, read)
}

fn parse_in(
    count: usize,
    text: &str,
    read: impl Fn(&str) -> Option<Map<String, Value>> + Sync,
) -> Option<Map<String, Value>> {
    let parts = cut(text, count).filter(|parts| parts.len() > 1)?;
    let mut read = pieces_in_threads(parts, read).into_iter();
    let mut document = read.next()??;
    for part in read {
        for (key, value) in part? {
            match (document.get_mut(&key), value) {
                (None, value) => {
                    document.insert(key, value);
                }
                (Some(Value::Object(entries)), Value::Object(more)) if key == SECTION => {
                    for (id, entry) in more {
                        if entries.insert(id, entry).is_some() {
                            return None;
                        }
                    }
                }
                _ => return None,
            }
        }
    }
    Some(document)
}

/// About equal parts; `None` where `entries` is written in a way that one part can't see of another.
fn cut(text: &str, count: usize) -> Option<Vec<&str>> {
    // What stands before the first header, without comments.
    let mut root = text.lines().take_while(|line| !line.trim_start().starts_with('['));
    let names_it = |line: &str| !line.trim_start().starts_with('#') && (line.contains(SECTION) || line.contains("\\u"));
    let is_header_of_all = |line: &str| {
        let name = line.trim_start().strip_prefix('[')?.trim_start().trim_start_matches(['"', '\'', '[']);
        Some(!name.strip_prefix(SECTION)?.trim_start_matches(['"', '\'']).trim_start().starts_with('.'))
    };
    if root.any(names_it) || text.lines().any(|line| is_header_of_all(line) == Some(true)) {
        return None;
    }
    let mut parts = Vec::new();
    let mut rest = text;
    for left in (2..=count).rev() {
        let Some(at) = next_header(rest, rest.len() / left) else { break };
        let (part, more) = rest.split_at(at);
        parts.push(part);
        rest = more;
    }
    parts.push(rest);
    Some(parts)
}

/// Where the first plain header of an entry behind `from` begins.
fn next_header(text: &str, from: usize) -> Option<usize> {
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at))?;
    let is_plain = |line: &str| {
        let name = line.trim_end().strip_prefix("[entries.").and_then(|name| name.strip_suffix(']'));
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c))
        })
    };
    let mut at = from;
    loop {
        at += text[at..].find("\n[")? + 1;
        if is_plain(text[at..].lines().next()?) {
            return Some(at);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Lines, read_whole};
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> Option<Map<String, Value>> {
        read_whole(&Lines { name: "x.toml", text }).ok()
    }

    /// In parts it is what it is as a whole, or it is left to be read whole.
    #[track_caller]
    fn same(text: &str) -> bool {
        let mut is_cut = false;
        for count in 2..6 {
            if let Some(document) = parse_in(count, text, whole) {
                let whole = whole(text).expect("what is valid in parts is valid");
                assert_eq!(document, whole, "{text}");
                assert_eq!(Value::from(document).to_string(), Value::from(whole).to_string(), "in the same order");
                is_cut = true;
            }
        }
        is_cut
    }

    #[test]
    fn a_file_of_many_entries_is_read_in_parts() {
        let entries: String = (0..40).map(|n| format!("\n[entries.e-{n}]\nevery = \"{n}s\"\nexec = ['a']\n")).collect();
        assert!(same(&entries));
        assert!(same(entries.trim_start()));
        assert!(same(&format!("# the entries\n{entries}")));
        assert!(same(&format!("owner = 'x'\n[defaults]\ntz = 'UTC'\n{entries}[queues.q]\nmax_running = 1\n")));
    }

    #[test]
    fn what_one_part_cannot_see_of_another_is_read_whole() {
        for text in [
            "a = 1\n[entries.a]\nx = '''\n[entries.b]\n'''\n[entries.c]\ny = [\n1,\n]\n",
            "entries.a.x = 1\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n",
            "entries = { a = 1 }\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n",
            "[entries]\nz = { x = 1 }\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n",
            "[entries.b]\nx = 1\n[entries.c]\nx = 1\n[entries]\nd = { x = 1 }\n",
            "[entries.b]\nx = 1\n[entries.c]\nx = 1\n['entries']\nd = { x = 1 }\n",
            "\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n[entries.b.retry]\nmax = 1\n",
            "\n[entries.b.retry]\nx = 1\n[entries.c]\nx = 1\n[entries.b]\nmax = 1\n",
            "\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n[entries.b]\nmax = 1\n",
            "\n[defaults]\ntz = 'a'\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n[defaults.labels]\nmax = 1\n",
            "\n[defaults]\ntz = 'a'\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n[defaults]\nmax = 1\n",
            "\n[[entries]]\nx = 1\n[entries.c]\nx = 1\n[entries.d]\nx = 1\n",
        ] {
            same(text);
        }
    }

    proptest! {
        #[test]
        fn in_parts_it_is_what_it_is_as_a_whole(lines in prop::collection::vec(prop::sample::select(vec![
            "[entries.a]", "[entries.b]", "[entries.c]", "[entries.d]  ", "[entries.\"e.f\"]", "[entries.a.retry]", " [entries.g]",
            "[entries]", "[defaults]", "[queues.q]", "x = 1", "y = '[entries.a]'", "z = '''", "'''", "t = \"\"\"", "\"\"\"",
            "l = [", "]", "1,", "# [entries.b]", "i = { a = 1 }", "entries.z.x = 1", "", "k.l = 2",
        ]), 0..24)) {
            same(&format!("\n{}\n", lines.join("\n")));
        }
    }
}
