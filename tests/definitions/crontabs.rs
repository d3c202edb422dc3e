//! Crontabs of users.

use serde_json::json;
use upbeat::domain::import::Import;
use upbeat::domain::import::crontab::import_user_crontab;
use upbeat::domain::policy::{CatchUp, Overlap};

fn ids(import: &Import) -> Vec<&str> {
    import.file.entries.iter().map(|entry| entry.id.as_str()).collect()
}

#[test]
fn a_line_becomes_an_entry_with_the_rules_of_cron() {
    let import = import_user_crontab(
        "# nightly\n\n30 2 * * 1-5  /usr/bin/backup.sh --full >/dev/null 2>&1\n",
        Some("Europe/Berlin"),
    );
    assert_eq!((import.refused.len(), import.notes.len()), (0, 0));
    let [only] = &import.file.entries[..] else { panic!() };
    assert_eq!(only.id.as_str(), "backup.sh-full");
    assert_eq!((only.entry.overlap, only.entry.catch_up), (Overlap::Allow, CatchUp::None));
    assert_eq!(
        only.entry.fields(),
        json!({"cron": "30 2 * * 1-5", "tz": "Europe/Berlin", "shell": "/usr/bin/backup.sh --full >/dev/null 2>&1",
               "overlap": "allow", "catch_up": "none"})
        .as_object()
        .unwrap()
    );
}

#[test]
fn ids_are_made_from_the_words_and_unique() {
    let import = import_user_crontab(
        "@daily /opt/a/x.py\n@daily /opt/b/x.py\n@daily X=1 Y=2 ./Run.sh -v\n@daily cd /srv && make all | tee log\n\
         @daily [ -x /a ]\n@daily :\n@daily 7c1e0a52-9d0f-4c1e-8a44-0b6a6f2f9c11\n@daily 日报\n",
        Some("UTC"),
    );
    assert_eq!(
        ids(&import),
        ["x.py", "x.py-2", "run.sh-v", "make-all", "x-a", "line-6", "job-7c1e0a52-9d0f-4c1e-8a44-0b6a6f2f9c11", "日报"]
    );
    let long = format!("@daily {}\n", "word ".repeat(100));
    assert!(ids(&import_user_crontab(&long, None))[0].len() <= 60);
}

#[test]
fn variables_count_for_the_lines_below_them() {
    let import = import_user_crontab(
        "@daily first\nPATH=/bin:/usr/bin\nHOME = \"/srv/x\"\n@daily second\nPATH=/opt\n@daily third\n",
        Some("UTC"),
    );
    let env = |at: usize| import.file.entries[at].entry.fields().get("env").cloned();
    assert_eq!(env(0), None);
    assert_eq!(env(1), Some(json!({"HOME": "/srv/x", "PATH": "/bin:/usr/bin"})));
    assert_eq!(env(2), Some(json!({"HOME": "/srv/x", "PATH": "/opt"})));
    assert_eq!(import.file.entries[1].entry.cwd.as_deref(), Some("/srv/x"));
}

#[test]
fn another_shell_is_called_by_name() {
    let import = import_user_crontab("SHELL=/bin/bash\n@daily [[ a ]] && b\nSHELL=/bin/sh\n@daily c\n", Some("UTC"));
    assert_eq!(import.file.entries[0].entry.action_json(), json!({"exec": ["/bin/bash", "-c", "[[ a ]] && b"]}));
    assert_eq!(import.file.entries[0].entry.env["SHELL"], "/bin/bash");
    assert_eq!(import.file.entries[1].entry.action_json(), json!({"shell": "c"}));
    assert_eq!(import.notes.len(), 1);
}

#[test]
fn mail_and_zones_are_noted() {
    let import = import_user_crontab(
        "MAILTO=ops@example.org\nCRON_TZ=Asia/Tokyo\n0 9 * * * a\nTZ=Asia/Seoul\n0 9 * * * b\n",
        None,
    );
    assert_eq!(import.file.entries[0].entry.schedule.zone.name(), "Asia/Tokyo");
    assert_eq!(import.file.entries[1].entry.schedule.zone.name(), "Asia/Tokyo");
    assert_eq!(import.file.entries[1].entry.env["TZ"], "Asia/Seoul");
    assert_eq!(import.notes.len(), 3, "{:?}", import.notes);
    let without = import_user_crontab("0 9 * * * a\n0 9 * * * b\n", None);
    assert_eq!(without.notes.len(), 1);
    assert!(without.notes[0].contains("UTC"));
    assert!(!without.file.entries[0].entry.fields().contains_key("tz"));
}

#[test]
fn percent_signs_become_the_payload() {
    let import = import_user_crontab("0 9 * * * mail -s hi ana%Hello%Ana\n0 9 * * * date +\\%F\n", Some("UTC"));
    assert_eq!(import.file.entries[0].entry.payload, Some(json!("Hello\nAna\n")));
    assert_eq!(import.file.entries[1].entry.action_json(), json!({"shell": "date +%F"}));
    assert_eq!(import.file.entries[1].entry.payload, None);
}

#[test]
fn what_is_not_carried_over_is_listed_with_its_line() {
    let import = import_user_crontab(
        "@reboot /x\n61 * * * * bad\n17 * * * * root cd / && run-parts /etc/cron.hourly\n@daily ok\n* * * *\nA-B=c\nUPBEAT_X=1\n",
        Some("UTC"),
    );
    assert_eq!(
        import.refused.iter().map(|refused| refused.place.as_str()).collect::<Vec<_>>(),
        ["line 1", "line 2", "line 3", "line 5", "line 6", "line 7"]
    );
    assert_eq!(import.refused[0].reason, "@reboot: a fleet has no boot");
    assert!(import.refused[1].reason.starts_with("cron: "));
    assert_eq!(import.refused[1].text, "61 * * * * bad");
    assert!(import.refused[2].hint.as_deref().unwrap().contains("not in this version yet"));
    assert_eq!(ids(&import), ["ok"]);
    let nowhere = import_user_crontab("@daily a\n", Some("Nowhere"));
    assert!(nowhere.refused[0].reason.starts_with("tz: "));
}
