//! In pieces a file is what it is as a whole: the same entries, complaints and lines.

use proptest::prelude::*;

use super::*;
use crate::domain::file::PlacesOf;

const NAME: &str = "x.toml";

fn worded(errors: Vec<Error>, places: &PlacesOf) -> Vec<String> {
    errors.into_iter().map(|error| format!("{:?}", places.placed(error))).collect()
}

/// Fields that somebody may ask for: all that stand there and some that do not.
fn fields(document: &Map<String, Value>) -> Vec<String> {
    fn add(table: &Map<String, Value>, before: &str, fields: &mut Vec<String>) {
        for (key, value) in table {
            let field = format!("{before}{}", shown_key(key));
            fields.extend([format!("{field}.nothing"), field.clone()]);
            if let Value::Object(inner) = value {
                add(inner, &format!("{field}."), fields);
            }
        }
    }
    let mut fields =
        ["entries", "entries.nobody", "entries.a.tz", "entries.a.retry.delay", "nothing"].map(str::to_owned).to_vec();
    add(document, "", &mut fields);
    fields
}

/// Read in pieces of several sizes it is what it is as a whole; returns how many pieces there were at most.
#[track_caller]
fn same(text: &str) -> usize {
    let (expected, wrong) = ScheduleFile::parse_most(NAME, text);
    let (expected, expected_places) = (expected.packed(), PlacesOf::new(NAME.to_owned(), text.to_owned(), None));
    let wrong = worded(wrong, &expected_places);
    let fields = fields(&toml_text::parse(NAME, text).unwrap_or_default());
    let mut most = 0;
    for piece_bytes in [24, 100, 400] {
        let (file, errors, places) = ScheduleFile::read_in(piece_bytes, NAME, text.to_owned(), &|_| ());
        assert_eq!(worded(errors, &places), wrong, "pieces of {piece_bytes} bytes of\n{text}");
        assert_eq!(file, expected, "pieces of {piece_bytes} bytes of\n{text}");
        for field in &fields {
            for value in [None, Some("x"), Some("nothing")] {
                let line = expected_places.line(field, value);
                assert_eq!(places.line(field, value), line, "{field} in pieces of {piece_bytes} bytes of\n{text}");
            }
            assert_eq!(places.entry(field), expected_places.entry(field), "{field} of\n{text}");
        }
        most = most.max(places.pieces());
    }
    most
}

fn usual(n: usize) -> String {
    format!("\n[entries.e-{n}]\nevery = \"{n}s\"\nexec = ['a']\n")
}

#[test]
fn a_long_file_is_read_in_pieces_wherever_its_sections_stand() {
    let entries: String = (1..40).map(usual).collect();
    let defaults = "[defaults]\ntz = 'Asia/Shanghai'\nlabels = { a = 'b' }\n";
    for text in [
        entries.clone(),
        entries.trim_start().to_owned(),
        entries.replace('\n', "\r\n"),
        format!("\u{feff}# the entries\n{entries}"),
        format!("owner = 'x'\n{defaults}{entries}[queues.q]\nmax_running = 1\n"),
        format!("{entries}{defaults}"),
        entries.replace("[entries.e-", "[entries.\"a.").replace("]\nevery", "\"]\nevery"),
        entries.replace("exec", "note = 'entries of all'\nexec"),
    ] {
        assert!(same(&text) > 20, "{text}");
    }
}

#[test]
fn every_complaint_about_a_file_in_pieces_is_that_of_the_whole() {
    let entry = |n: usize| match n {
        7 => "\n[entries.e7]\nevery = 'x'\nexec = ['a']\n".to_owned(),
        8 => "\n[entries.\"e7.every\"]\nevery = 'y'\nexec = ['a']\n".to_owned(),
        20 => "\n[entries.\"o o\\n\"]\nevery = '5m'\nexec = ['a']\n".to_owned(),
        31 => "\n[entries.e31]\nevery = '5m'\nexecc = ['a']\n".to_owned(),
        32 => "\n[entries.\"e31.execc\"]\nevery = '5m'\nexec = ['a']\n".to_owned(),
        n => usual(n),
    };
    let text: String = (1..40).map(entry).collect();
    for text in [
        text.clone(),
        format!("{text}[defaults]\ntz = 'nowhere'\nqueue = 'Q!'\n"),
        format!("owner = 'O o'\nspeed = 7\n{text}\n[calendars.c]\ndates = ['2026-13-01']\n[queue.q]\nmax = 1\n"),
    ] {
        assert!(same(&text) > 20, "{text}");
    }
}

#[test]
fn what_one_piece_cannot_see_of_another_is_read_whole() {
    let entries: String = (1..20).map(usual).collect();
    for (before, after) in [
        ("", "[entries.e-3.retry]\nmax = 1\n"),
        ("[entries.z.retry]\nmax_attempts = 3\n", "[entries.z]\nevery = '1m'\nexec = ['x']\n"),
        ("[entries.z]\nevery = '1m'\nexec = ['x']\n", "[entries.z.labels]\na = 'b'\n"),
        ("[entries.z]\nevery = '1m'\nexec = ['x']\n", "[entries.z]\nnote = 'b'\n"),
        ("[[entries.z]]\nevery = '1m'\nexec = ['x']\n", "[[entries.z]]\nnote = 'b'\n"),
        ("", "[[entries.e-3]]\nevery = '1m'\n"),
        ("entries.z.every = '1m'\nentries.z.exec = ['x']\n", ""),
        ("entries = { z = { every = '1m', exec = ['x'] } }\n", ""),
        ("'entries' = { z = { every = '1m', exec = ['x'] } }\n", ""),
        ("owner = \"\"\"\\\n[x]\"\"\"\n\"\\u0065ntries\".z.every = '1m'\n", ""),
        ("owner = \"\"\"\\\n[x]\"\"\"\nentries.z = { every = '1m', exec = ['x'] }\n", ""),
        ("", "[entries]\nz = { every = '1m', exec = ['x'] }\n"),
        ("", "[ 'entries' ]\nz = { every = '1m', exec = ['x'] }\n"),
        ("[\"\\u0065ntries\"]\n", "[\"\\u0065ntries\"]\n"),
        ("[[entries]]\nevery = '1m'\n", ""),
        ("", "[\"\\u0064efaults\"]\ntz = 'Asia/Tokyo'\n"),
        ("[defaults]\ntz = 'UTC'\n", "[defaults.labels]\na = 'b'\n"),
        ("[defaults]\ntz = 'UTC'\n", "[defaults]\nqueue = 'b'\n"),
        ("[queues.a]\nmax_running = 1\n", "[queues.b]\nmax_running = 1\n"),
        ("[entries.z]\nnote = '''\n", "'''\nevery = '1m'\nexec = ['x']\n"),
        ("[entries.z]\nexec = ['x',\n", "]\nevery = '1m'\n"),
        ("[entries.z]\nevery = '1m\nexec = ['x']\n", ""),
        ("", "[entries.z]\nevery = 1m\n[entries.y\n"),
    ] {
        assert_eq!(same(&format!("{before}{entries}{after}")), 0, "{before} ... {after}");
    }
}

/// What an entry may look like, right or wrong; `ID` is its key.
const SHAPES: &[&str] = &[
    "[entries.ID]\nevery = '5m'\nexec = ['x']\n",
    "[entries.ID]\nevery = '5m'\nexec = ['x']\n",
    "[entries.ID]\ncron = '0 3 * * *'\nshell = 'x'\ntz = 'Europe/Berlin'\n",
    "[entries.ID] # why\n  every = '5m'\n  exec = [\n  'x', # '''\n]\n",
    "[entries.ID]\nevery = '5m'\nexec = ['x']\n[entries.ID.retry]\nmax_attempts = 3\n",
    "[entries.ID]\nevery = '5m'\nexec = ['x']\nretry.max_attempts = 3\nlabels = { a = 'b' }\n",
    "[entries.ID]\nevery = '5m'\nshell = '''\n[entries.a]\nevery = 1\n'''\n",
    "[entries.ID]\nevery = '5m'\nshell = \"\"\"\n\\\"\"\"\n[defaults]\n\"\"\"\n",
    "[ entries . ID ]\nevery = '5m'\nexec = ['x']\n",
    "[entries.ID]\nevery = '5x'\nexec = ['x']\n",
    "[entries.ID]\nevery = '5m'\nexecc = ['x']\n",
    "[entries.ID]\ncron = '61 * * * *'\nshell = 7\nretry = { max = 'x' }\n",
    "[entries.ID]\ntz = 'Mars/Base'\npaused = 1\n",
    "[entries.ID.daily]\nevery = '5m'\nexec = ['x']\n",
    "[[entries.ID]]\nevery = '5m'\n",
];

/// What may stand between entries; most of it once.
const OTHERS: &[&str] = &[
    "",
    "\n\n",
    "# [entries.a]\n",
    "[defaults]\ntz = 'Asia/Tokyo'\ntimeout = '1m'\n",
    "[defaults]\ntz = 'nowhere'\nretry = { max_attempts = 'x' }\n",
    "[defaults.labels]\na = 'x'\n",
    "[queues.q]\nmax_running = 1\n",
    "[calendars.c]\ndates = ['2026-01-01']\n",
    "[calendars.c]\ndates = ['2026-01-41']\n",
    "[jobs.x]\nevery = '5m'\nexec = ['x']\n",
    "[entries.a.labels]\nx = 'y'\n",
    "[entries]\n",
    "owner = 'x'\n",
    "entries.a.note = 'x'\n",
];

fn drawn() -> impl Strategy<Value = String> {
    let id = prop::sample::select(vec!["a", "b", "\"a.b\"", "\"a.retry\"", "'c'", "\"c.d\"", "\"o o\"", "\"a.tz\""]);
    let id = prop_oneof![3 => (0..200u32).prop_map(|n| format!("e{n}")), 2 => (0..200u32).prop_map(|n| format!("\"e.{n}\"")), 1 => id.prop_map(str::to_owned)];
    let shape = prop_oneof![4 => Just(SHAPES[0]), 2 => prop::sample::select(SHAPES)];
    let entry = (id, shape).prop_map(|(id, shape)| shape.replace("ID", &id));
    let part = prop_oneof![12 => entry, 1 => prop::sample::select(OTHERS).prop_map(str::to_owned)];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn in_pieces_it_is_what_it_is_as_a_whole(text in drawn()) {
        same(&text);
    }

    #[test]
    fn whatever_its_lines_are(lines in prop::collection::vec(prop::sample::select(vec![
        "[entries.a]", "[entries.b]", "[entries.c]", "[entries.d]  ", "[entries.\"e.f\"]", "[entries.a.retry]", " [entries.g]",
        "[entries]", "[defaults]", "[queues.q]", "max_running = 1", "note = '[entries.a]'", "note = '''", "'''", "cwd = \"\"\"",
        "\"\"\"", "exec = [", "]", "'x',", "# [entries.b]", "env = { a = '1' }", "entries.z.every = '1m'", "", "labels.l = '2'",
        "every = '5m'", "exec = ['x']", "every = '5m'\nexec = ['x']", "tz = 'UTC'", "tz = 'nowhere'", "\r", "x = \"\\", "}", "{",
    ]), 0..24)) {
        same(&format!("\n{}\n", lines.join("\n")));
    }
}
