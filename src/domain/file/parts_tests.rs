//! In pieces a file is what it is as a whole, or it is left to be read whole.

use proptest::prelude::*;

use super::*;

/// What is read whole, its complaints with their places.
fn whole(text: &str) -> Read {
    let (file, errors) = ScheduleFile::parse_most("x.toml", text);
    let places = Places::of("x.toml", text);
    (file.packed(), errors.into_iter().map(|error| placed(error, "x.toml", &places)).collect())
}

/// Whether it could be read in pieces at all.
#[track_caller]
fn same(text: &str) -> bool {
    let expected = whole(text);
    let mut is_cut = false;
    for count in 2..6 {
        let Some(pieces) = toml_text::cut(text, count).filter(|pieces| pieces.len() > 1) else { continue };
        let Some((file, errors)) = read_toml("x.toml", text, pieces, &|_| ()) else { continue };
        let places = Places::of("x.toml", text);
        let errors: Vec<Error> = errors.into_iter().map(|error| placed(error, "x.toml", &places)).collect();
        let words = |errors: &[Error]| errors.iter().map(|error| format!("{error:?}")).collect::<Vec<_>>();
        assert_eq!(words(&errors), words(&expected.1), "{text}");
        if errors.is_empty() {
            assert_eq!(file, expected.0, "{text}");
        }
        is_cut = true;
    }
    is_cut
}

#[test]
fn a_file_of_many_entries_is_read_in_pieces() {
    let entries: String = (1..40).map(|n| format!("\n[entries.e-{n}]\nevery = \"{n}s\"\nexec = ['a']\n")).collect();
    assert!(same(&entries));
    assert!(same(entries.trim_start()));
    assert!(same(&format!("# the entries\n{entries}")));
    let defaults = "[defaults]\ntz = 'Asia/Shanghai'\nlabels = { a = 'b' }\n";
    assert!(same(&format!("owner = 'x'\n{defaults}{entries}[queues.q]\nmax_running = 1\n")));
    assert!(same(&format!("{entries}{defaults}")), "what they have in common may stand behind them");
    assert!(same(&entries.replace("[entries.e-", "[entries.\"a.").replace(']', "\"]").replace("['a\"]", "['a']")));
    let escaped = format!("{entries}[\"\\u0064efaults\"]\ntz = 'UTC'\n");
    assert!(!same(&escaped), "nobody looks for that");
}

#[test]
fn each_complaint_of_a_file_in_pieces_has_its_line() {
    let entry = |n: usize| match n {
        7 => "\n[entries.e7]\nevery = 'x'\nexec = ['a']\n".to_owned(),
        31 => "\n[entries.e31]\nevery = '5m'\nexecc = ['a']\n".to_owned(),
        n => format!("\n[entries.e{n}]\nevery = \"{n}m\"\nexec = ['a']\n"),
    };
    let text: String = (1..40).map(entry).collect();
    assert!(same(&text));
    assert!(same(&format!("{text}[defaults]\ntz = 'nowhere'\nqueue = 'Q!'\n")));
}

#[test]
fn what_one_piece_cannot_see_of_another_is_read_whole() {
    for text in [
        "a = 1\n[entries.a]\nx = '''\n[entries.b]\n'''\n[entries.c]\ny = [\n1,\n]\n",
        "entries.a.x = 1\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n",
        "entries = { a = 1 }\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n",
        "[entries]\nz = { x = 1 }\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n",
        "[entries.b]\nx = 1\n[entries.c]\nx = 1\n[entries]\nd = { x = 1 }\n",
        "[entries.b]\nx = 1\n[entries.c]\nx = 1\n['entries']\nd = { x = 1 }\n",
        "\n[entries.b]\nevery = '1m'\n[entries.c]\nx = 1\n[entries.b.retry]\nmax = 1\n",
        "\n[entries.b.retry]\nmax = 1\n[entries.c]\nx = 1\n[entries.b]\nevery = '1m'\n",
        "\n[entries.b]\nevery = '1m'\n[entries.c]\nx = 1\n[entries.b]\nmax = 1\n",
        "\n[defaults]\ntz = 'a'\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n[defaults.labels]\nmax = 1\n",
        "\n[defaults]\ntz = 'a'\n[entries.b]\nx = 1\n[entries.c]\nx = 1\n[defaults]\nmax = 1\n",
        "\n[[entries]]\nx = 1\n[entries.c]\nx = 1\n[entries.d]\nx = 1\n",
    ] {
        same(text);
    }
}

proptest! {
    #[test]
    fn in_pieces_it_is_what_it_is_as_a_whole(lines in prop::collection::vec(prop::sample::select(vec![
        "[entries.a]", "[entries.b]", "[entries.c]", "[entries.d]  ", "[entries.\"e.f\"]", "[entries.a.retry]", " [entries.g]",
        "[entries]", "[defaults]", "[queues.q]", "max_running = 1", "note = '[entries.a]'", "note = '''", "'''", "cwd = \"\"\"", "\"\"\"",
        "exec = [", "]", "'x',", "# [entries.b]", "env = { a = '1' }", "entries.z.every = '1m'", "", "labels.l = '2'",
        "every = '5m'", "exec = ['x']", "every = '5m'\nexec = ['x']", "tz = 'UTC'", "tz = 'nowhere'",
    ]), 0..24)) {
        same(&format!("\n{}\n", lines.join("\n")));
    }
}

#[test]
fn json_entry_by_entry_is_what_it_is_as_a_whole() {
    let entry = |n: usize| format!("\"e{n}\": {{\"every\": \"{n}s\", \"exec\": [\"a\"]}}");
    let entries: Vec<String> = (1..40).map(entry).collect();
    let entries = entries.join(",");
    for text in [
        format!("{{\"owner\": \"x\", \"entries\": {{{entries}}}, \"defaults\": {{\"tz\": \"Asia/Tokyo\"}}}}"),
        format!("{{\"entries\": {{{entries}, \"bad\": {{\"every\": 5, \"exec\": \"x\"}}}}, \"owner\": 7}}"),
        "{\"owner\": \"x\"}".to_owned(),
    ] {
        let (file, errors) = read_json(&text, &|_| ()).expect("it is read entry by entry");
        let (expected, wrong) = ScheduleFile::parse_most("x.json", &text);
        assert_eq!(format!("{errors:?}"), format!("{wrong:?}"));
        assert_eq!(file, expected.packed());
    }
    let twice = format!("{{\"entries\": {{{entries}, {}}}}}", entry(3));
    for text in
        [twice.as_str(), "{\"entries\": 3}", "[]", "{\"entries\": {}} x", "{\"owner\": \"a\", \"owner\": \"b\"}"]
    {
        assert!(read_json(text, &|_| ()).is_none(), "{text}");
    }
}
