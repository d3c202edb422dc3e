//! lint as a user types and reads it: every finding with file, line and field, and no Redis anywhere.

use serde_json::{Value, json};

use crate::support::cli::Upbeat;

/// A user without a Redis.
fn user() -> Upbeat {
    Upbeat::at("redis://127.0.0.1:1")
}

/// The lines of lint, which ends with this code and says nothing on standard error.
#[track_caller]
fn lint(user: &Upbeat, code: i32, args: &[&str]) -> Vec<String> {
    let outcome = user.run(&[&["lint"], args].concat()).expect_code(code);
    assert_eq!(outcome.stderr, "");
    outcome.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn both_mistakes_of_a_move_from_celery_are_told_with_line_and_way_out_and_nothing_is_asked() {
    let user = user();
    let text = "[entries.billing.close-month]\ncron = '0 2 1 * *'\nshell = 'close'\n\n\
                [entries.sync-crm]\nevery = '5m'\nshell = 'sync'\nstart_within = 300\n";
    user.file("celery.toml", text);
    assert_eq!(
        lint(&user, 1, &["-f", "celery.toml"]),
        [
            "error: celery.toml:1: entries.billing: unknown field \"close-month\"",
            "  an id with a dot is quoted: [entries.\"billing.close-month\"]",
            "error: celery.toml:8: entries.sync-crm.start_within: 300 has no unit; write \"5m\"",
            "2 errors; nothing was sent to Redis",
        ]
    );
    let fixed = text.replace("billing.close-month", "\"billing.close-month\"").replace("300", "'5m'");
    user.file("celery.toml", &fixed);
    assert_eq!(lint(&user, 0, &["-f", "celery.toml"]), ["2 entries, no errors"]);
}

#[test]
fn every_error_of_a_folder_has_its_line_in_toml_and_json() {
    let user = user();
    std::fs::create_dir(user.dir().join("jobs")).unwrap();
    user.file(
        "jobs/a.toml",
        "[defaults]\nmax_running = 4\n\n[entries.\"a.b\"]\ncron = [\n  '0 9 * * *',\n  '61 9 * * *',\n]\nshell = 'x'\n\
         retry = { max_attempts = 3,\n  dely = '5s' }\n\n[entries.list]\nevery = '5m'\nlist = 'k'\n\n[entries.twice]\nevery = '5m'\nshell = 'x'\n",
    );
    user.file(
        "jobs/b.json",
        "{\n \"entries\": {\n  \"twice\": {\"every\": \"5m\", \"shell\": \"x\"},\n  \"c\": {\n   \"evry\": \"5m\",\n   \"http\": {\"url\": \"https://a.example\",\n    \"headers\": {\"Host\\n\": \"x\"}}}\n }\n}\n",
    );
    user.file("jobs/c.toml", "[entries.c]\nevery = 5m\n");
    user.file(
        "jobs/d.toml",
        "[alerts.x]\non = []\n[entries.d]\nafter = { entry = 'c' }\nhandler = 'x'\n[calendars.cn]\nfile = 'none.ics'\n",
    );
    let said = lint(&user, 1, &["-f", "jobs"]);
    let find =
        |start: &str| said.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {said:#?}"));
    find("error: jobs/a.toml:7: entries.a.b.cron: minute: 61");
    find("error: jobs/a.toml:11: entries.a.b.retry.dely: unknown field");
    find("error: jobs/a.toml:2: entries.list.max_running: a message is written in one step");
    find("error: jobs/b.json:5: entries.c.evry: unknown field");
    find("error: jobs/b.json:7: entries.c.http.headers.Host\\n: ");
    find("error: jobs/c.toml:2: not TOML: ");
    find("error: jobs/d.toml:1: alerts: not in this version yet");
    find("error: jobs/d.toml:4: entries.d.after: not in this version yet");
    find("error: jobs/d.toml:5: entries.d.handler: not in this version yet");
    find("error: jobs/d.toml:7: calendars.cn.file: ");
    let twice = find("error: jobs/b.json:3: entries.twice: stands in ");
    assert!(twice.ends_with("jobs/a.toml:17 too"), "{twice}");
    assert!(said.contains(&"  did you mean delay?".to_owned()) && said.contains(&"  did you mean every?".to_owned()));
    assert_eq!(said.last().unwrap(), "11 errors; nothing was sent to Redis");
}

#[test]
fn several_files_may_not_have_the_same_entry() {
    let user = user();
    for name in ["a.toml", "b.toml"] {
        user.file(name, "[entries.same]\nevery = '5m'\nshell = 'x'\n");
    }
    assert_eq!(lint(&user, 0, &["-f", "a.toml"]), ["1 entry, no errors"]);
    let said = lint(&user, 1, &["-f", "a.toml", "-f", "b.toml"]);
    assert_eq!(said[0], "error: b.toml:1: entries.same: stands in a.toml:1 too");
    assert_eq!(said.last().unwrap(), "1 error; nothing was sent to Redis");
}

#[test]
fn a_folder_stands_for_the_files_right_in_it_and_what_is_left_out_is_said() {
    let user = user();
    let folder = user.dir().join("jobs");
    std::fs::create_dir_all(folder.join("more")).unwrap();
    std::fs::create_dir_all(folder.join("..2026_11_21")).unwrap();
    std::fs::create_dir_all(folder.join("calendars")).unwrap();
    user.file("jobs/calendars/cn.ics", "");
    let entry = |id: &str| format!("[entries.{id}]\nevery = '5m'\nshell = 'x'\n");
    for (name, id) in
        [("a.toml", "a"), (".b.toml", "b"), ("c.toml~", "c"), ("more/d.toml", "d"), ("..2026_11_21/a.toml", "a")]
    {
        user.file(&format!("jobs/{name}"), &entry(id));
    }
    // What an editor leaves beside a file that is open.
    std::os::unix::fs::symlink("ana@laptop.4711", folder.join(".#a.toml")).unwrap();
    let told = user.run(&["lint", "-f", "jobs"]).expect_code(0);
    assert_eq!(told.stdout, "1 entry, no errors\n");
    let said = "warning: jobs/more is not read: a folder stands for the files right in it; -f jobs/more reads it\n";
    assert_eq!(told.stderr, said);
    // A file that can't be read is no file less: its entries would be pruned.
    std::os::unix::fs::symlink("gone.toml", folder.join("e.toml")).unwrap();
    let told = user.run(&["lint", "-f", "jobs"]).expect_code(2).stderr;
    assert!(
        told.contains("error: file: jobs/e.toml can't be read: ") || told.contains("jobs/e.toml can't be read"),
        "{told}"
    );
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let user = user();
    user.file("a.toml", "[entries.a]\nevery = '5m'\nevery = '6m'\nshell = 'x'\n");
    assert_eq!(lint(&user, 1, &["-f", "a.toml"])[0], "error: a.toml:3: not TOML: duplicate key every");
    user.file("a.toml", "[queues.q]\nmax_running = 1\n");
    user.file("b.toml", "[queues.q]\nmax_running = 2\n");
    let said = lint(&user, 1, &["-f", "a.toml", "-f", "b.toml"]);
    assert_eq!(said[0], "error: b.toml:1: queues.q: stands in a.toml:1 too");
    assert_eq!(said[1], "  a name belongs to one file: rename one of them, or take it out");
}

#[test]
fn notes_are_no_errors_and_name_their_line_unless_they_are_about_many() {
    let user = user();
    let mut text = "[defaults]\ntimeout = '2h'\n\n[entries.poll]\nevery = '5m'\nshell = 'x'\n".to_owned();
    for at in 0..11 {
        text.push_str(&format!("[entries.night-{at}]\ncron = '0 0 * * *'\ntz = 'Asia/Shanghai'\nshell = 'x'\n"));
    }
    user.file("jobs.toml", &text);
    assert_eq!(
        lint(&user, 0, &["-f", "jobs.toml"]),
        [
            "12 entries, no errors",
            "note: jobs.toml:2: entries.poll.timeout: a run may take 2 h and the next one comes after 5 min: it is skipped then",
            "  a shorter timeout, or overlap = \"buffer_one\" to run it afterwards",
            "note: 11 entries fire at the same minute (00:00 Asia/Shanghai); spread = \"5m\" or H would help",
            "  night-0, night-1, night-10 and 8 more",
        ]
    );
    assert_eq!(lint(&user, 0, &["-f", "jobs.toml", "-q"]), ["12 entries, no errors"]);
    lint(&user, 1, &["-f", "jobs.toml", "--strict"]);
}

#[test]
fn an_entry_on_a_calendar_of_its_file_is_judged_by_its_dates() {
    let user = user();
    user.file(
        "jobs.toml",
        "[calendars.all]\ndates = ['2099-12-24']\n[entries.eve]\nat = '2099-12-24T09:00:00Z'\nshell = 'x'\nexclude = ['all']\n",
    );
    let said = lint(&user, 0, &["-f", "jobs.toml"]);
    assert_eq!(
        said[1],
        "note: jobs.toml:4: entries.eve.at: at 2099-12-24T09:00:00.000Z lies on a date that is excluded: it never fires"
    );
}

#[test]
fn programs_get_findings_with_code_field_file_line_and_ids() {
    let user = user();
    let bad = "{\"entries\": {\"a.b\":\n {\"cron\": \"*/7 * * * *\", \"shell\": \"x\",\n \"timeout\": 5}}}";
    let lint = |format: &str, text: &str, code: i32| {
        user.run_with_input(&["lint", "-f", "-", "-o", format], text).expect_code(code).stdout
    };
    let found: Value = serde_json::from_str(&lint("json", bad, 1)).unwrap();
    assert_eq!(
        (&found["files"], &found["entries"], &found["notes"]),
        (&json!(["standard input"]), &json!(0), &json!([]))
    );
    let error = json!({
        "level": "error", "code": "invalid", "field": "entries.a.b.timeout", "value": "5", "hint": null,
        "message": "5 has no unit; write \"5s\"", "file": "standard input", "line": 3, "ids": ["a.b"],
    });
    assert_eq!(found["errors"], json!([error]));
    assert_eq!(serde_json::from_str::<Value>(&lint("jsonl", bad, 1)).unwrap(), error);
    assert_eq!(lint("id", bad, 1), "a.b\n");
    let good = bad.replace("5}", "\"5m\"}");
    let found: Value = serde_json::from_str(&lint("json", &good, 0)).unwrap();
    assert_eq!((&found["entries"], &found["errors"]), (&json!(1), &json!([])));
    let note = &found["notes"][0];
    for (key, value) in
        [("level", json!("note")), ("code", json!("uneven_step")), ("line", json!(2)), ("ids", json!(["a.b"]))]
    {
        assert_eq!(note[key], value, "{note}");
    }
    assert_eq!((&note["field"], &note["value"]), (&json!("entries.a.b.cron"), &json!("*/7 * * * *")));
    assert_eq!(lint("id", &good, 0), "a.b\n");
    assert_eq!(lint("jsonl", "[entries.a]\nevery = '5m'\nshell = 'x'\n", 0), "");
}

#[test]
fn what_can_t_be_read_is_a_mistake_of_the_command_and_no_finding() {
    let user = user();
    std::fs::create_dir(user.dir().join("empty")).unwrap();
    for args in [&["-f", "none.toml"][..], &["-f", "empty"], &[]] {
        let error = user.error(2, &[&["lint"], args].concat());
        assert_eq!(error["code"], "invalid", "{args:?}");
    }
    user.file("a.toml", "[entries.a]\nevery = '5m'\nshell = 'x'\n");
    assert_eq!(user.error(2, &["lint", "-f", "a.toml", "-f", "none.toml"])["value"], "none.toml");
    std::fs::write(user.dir().join("latin.toml"), b"[entries.a]\nnote = '\xe9'\n").unwrap();
    assert_eq!(lint(&user, 1, &["-f", "latin.toml"])[0], "error: latin.toml:2: is not UTF-8 text");
}

#[test]
fn the_words_of_other_linters_name_this_one() {
    let user = user();
    for word in ["validate", "check"] {
        let error = user.error(2, &[word, "a.toml"]);
        assert!(error["hint"].as_str().unwrap().starts_with("upbeat lint -f FILE"), "{error}");
    }
}
