//! Crontabs of users and of the system.

use serde_json::json;
use upbeat::domain::import::Import;
use upbeat::domain::import::crontab::{Crontab, CrontabRules, Dialect, RunAs, import_crontabs};
use upbeat::domain::policy::{CatchUp, Overlap};

fn import_user_crontab(text: &str, tz: Option<&str>) -> Import {
    let rules = CrontabRules { tz: tz.map(str::to_owned), ..CrontabRules::default() };
    import_crontabs(&[Crontab { name: None, text, is_system: false, prefix: None }], &rules)
}

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
    assert!(import.refused[2].hint.as_deref().unwrap().contains("--system"));
    assert_eq!(ids(&import), ["ok"]);
    let nowhere = import_user_crontab("@daily a\n", Some("Nowhere"));
    assert!(nowhere.refused[0].reason.starts_with("tz: "));
}

/// A system crontab, read by rules of its own.
fn import_system_crontab(text: &str, rules: CrontabRules) -> Import {
    let rules = CrontabRules { tz: Some("UTC".to_owned()), ..rules };
    import_crontabs(&[Crontab { name: None, text, is_system: true, prefix: None }], &rules)
}

#[test]
fn the_user_of_a_system_crontab_is_kept_as_it_was_chosen() {
    let text = "17 * * * * www-data run-parts /etc/cron.hourly\nA=1\n@daily root x%in\n";
    let of = |run_as: RunAs| import_system_crontab(text, CrontabRules { run_as, ..CrontabRules::default() });
    let first = |import: &Import| import.file.entries[0].entry.clone();
    let runuser = of(RunAs::Runuser);
    assert_eq!(
        first(&runuser).action_json(),
        json!({"exec": ["runuser", "-s", "/bin/sh", "-c", "run-parts /etc/cron.hourly", "www-data"]})
    );
    assert_eq!(first(&runuser).labels["user"], "www-data");
    assert_eq!(runuser.file.entries[1].entry.payload, Some(json!("in\n")));
    assert_eq!(runuser.notes.len(), 1, "{:?}", runuser.notes);
    let sudo = of(RunAs::Sudo).file.entries[1].entry.action_json();
    assert_eq!(sudo, json!({"exec": ["sudo", "-n", "-H", "-u", "root", "--", "env", "A=1", "/bin/sh", "-c", "x"]}));
    let queue = first(&of(RunAs::Queue));
    assert_eq!(
        (queue.queue.as_str(), queue.action_json()),
        ("www-data", json!({"shell": "run-parts /etc/cron.hourly"}))
    );
    let node = first(&of(RunAs::Node));
    assert_eq!((node.queue.as_str(), node.labels["user"].as_str()), ("default", "www-data"));
}

#[test]
fn a_path_of_the_crontab_hides_no_program_that_changes_the_user() {
    for (run_as, program) in [(RunAs::Runuser, "/sbin/runuser"), (RunAs::Sudo, "/usr/bin/sudo")] {
        let rules = CrontabRules { run_as, ..CrontabRules::default() };
        let action =
            import_system_crontab("PATH=/opt/bin:/bin\n@daily git x\n", rules).file.entries[0].entry.action_json();
        assert_eq!(action["exec"][0], program);
    }
}

#[test]
fn a_home_of_the_crontab_stays_that_of_another_user() {
    let import = import_system_crontab("HOME=/srv\nSHELL=/bin/bash\n@daily git x\n", CrontabRules::default());
    let entry = &import.file.entries[0].entry;
    assert_eq!(entry.action_json(), json!({"exec": ["runuser", "-m", "-s", "/bin/bash", "-c", "x", "git"]}));
    assert_eq!((entry.cwd.as_deref(), entry.env["HOME"].as_str()), (Some("/srv"), "/srv"));
}

#[test]
fn cron_tz_moves_times_where_the_cron_moves_them() {
    let text = "CRON_TZ=Asia/Tokyo\n0 9 * * * a\n";
    let of = |dialect| {
        let rules = CrontabRules { tz: Some("UTC".to_owned()), dialect, ..CrontabRules::default() };
        let import = import_crontabs(&[Crontab { name: None, text, is_system: false, prefix: None }], &rules);
        assert_eq!(import.notes.len(), 1, "{:?}", import.notes);
        import.file.entries[0].entry.clone()
    };
    for dialect in [None, Some(Dialect::Cronie)] {
        assert_eq!(of(dialect).schedule.zone.name(), "Asia/Tokyo");
    }
    let debian = of(Some(Dialect::Debian));
    assert_eq!((debian.schedule.zone.name(), debian.env["CRON_TZ"].as_str()), ("UTC", "Asia/Tokyo"));
}

#[test]
fn what_only_some_crons_have_is_read_for_those() {
    let of = |dialect, text: &str| {
        let rules = CrontabRules { tz: Some("UTC".to_owned()), dialect: Some(dialect), ..CrontabRules::default() };
        let import = import_crontabs(&[Crontab { name: None, text, is_system: false, prefix: None }], &rules);
        import.file.entries.first().map(|entry| (entry.entry.schedule_json(), entry.entry.overlap))
    };
    let cron = |words: &str| Some((json!({"cron": words, "tz": "UTC"}), Overlap::Allow));
    assert_eq!(of(Dialect::Cronie, "0 0 * * fri-sun x\n"), cron("0 0 * * 5-7"));
    assert_eq!(of(Dialect::Cronie, "-*/5 * * * * x\n"), cron("*/5 * * * *"));
    assert_eq!(of(Dialect::FreeBsd, "@every_minute x\n"), cron("* * * * *"));
    assert_eq!(of(Dialect::FreeBsd, "@90 x\n"), Some((json!({"every": "90s", "tz": "UTC"}), Overlap::Skip)));
    assert_eq!(of(Dialect::OpenBsd, "*/5 * * * * -ns x\n").unwrap().1, Overlap::Skip);
    let drawn = of(Dialect::OpenBsd, "~ 2~4 * * * x\n").unwrap().0;
    let words: Vec<u32> =
        drawn["cron"].as_str().unwrap().split(' ').take(2).map(|word| word.parse().unwrap()).collect();
    assert!(words[0] < 60 && (2..=4).contains(&words[1]));
    assert_eq!(of(Dialect::OpenBsd, "~ 2~4 * * * x\n").unwrap().0, drawn, "the same at each import");
    assert_eq!(of(Dialect::Debian, "~ 2~4 * * * x\n"), None);
}

#[test]
fn what_made_cron_pass_over_the_whole_file_is_said() {
    let notes = |text: &str| import_user_crontab(text, Some("UTC")).notes.join("\n");
    assert!(notes("0 5 * * * a\n5/10 * * * * b\n").contains("reads nothing of this file because of line 2"));
    assert!(notes("0 5 * * * a").contains("does not end with a newline"));
    assert_eq!(notes("0 5 * * * a\n5-1 * * * * never\n"), "");
}

#[test]
fn several_crontabs_are_one_file_whose_ids_and_places_say_where_they_come_from() {
    let crontab = |name, text| Crontab { name: Some(name), text, is_system: true, prefix: Some(&name[12..]) };
    let crontabs = [
        crontab("/etc/cron.d/php", "9,39 * * * * root sessionclean\n"),
        crontab("/etc/cron.d/sysstat", "@reboot root x\n*/10 * * * * root sa1\n"),
    ];
    let import = import_crontabs(&crontabs, &CrontabRules { tz: Some("UTC".to_owned()), ..CrontabRules::default() });
    assert_eq!(ids(&import), ["php.sessionclean", "sysstat.sa1"]);
    assert_eq!(import.refused[0].place, "/etc/cron.d/sysstat: line 1");
}

#[test]
fn hostile_crontabs_are_reported_and_never_a_panic() {
    for text in [
        "*".repeat(1_000_000),
        format!("* * * * * {}\n", "x".repeat(1_000_000)),
        format!("{} * * * * x\n", "1,".repeat(100_000)),
        "\0\u{1}\u{7f}\u{fffd}\n".repeat(1000),
        "%\n=\n\"\n'\n'='\n@\n-\n~\n/\n* * * * *\n".to_owned(),
        "* * * * * \u{fffd}\n\u{fffd}=1\n".to_owned(),
        "99999999999999999999 1-99999999999999999999/0 * * * x\n".to_owned(),
    ] {
        for (dialect, is_system) in [(Dialect::Debian, false), (Dialect::OpenBsd, true)] {
            let rules = CrontabRules { dialect: Some(dialect), ..CrontabRules::default() };
            let import = import_crontabs(&[Crontab { name: None, text: &text, is_system, prefix: None }], &rules);
            assert!(!import.refused.is_empty(), "{:.40}", text);
            assert!(import.refused.iter().all(|refused| refused.text.len() < 1000));
        }
    }
}
