//! Man pages: one of each command, with its examples, that a reader of pages can read.

use std::process::{Command, Stdio};

use crate::habits::paths;
use crate::refused;
use crate::support::cli::Upbeat;

#[test]
fn every_command_has_a_page_with_its_examples() {
    let user = Upbeat::at("redis://127.0.0.1:1");
    let said = user.ok(&["man", "--dir", "pages"]);
    let pages: Vec<String> = std::fs::read_dir(user.dir().join("pages"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(said, format!("{} pages in pages\n", pages.len()));
    for path in paths(&user) {
        let name = format!("upbeat-{}.1", path.replace(' ', "-"));
        assert!(pages.contains(&name), "{name}");
        let page = std::fs::read_to_string(user.dir().join("pages").join(&name)).unwrap();
        assert!(page.contains(".SH EXAMPLES\n") && page.contains(".TH "), "{name}");
        assert!(!page.contains('\u{1b}'), "{name} has colours");
    }
    let add = user.ok(&["man", "add"]);
    assert_eq!(add, std::fs::read_to_string(user.dir().join("pages/upbeat-add.1")).unwrap());
    assert!(user.ok(&["man"]).contains("upbeat dev"));
    assert_eq!(user.ok(&["man", "list"]), user.ok(&["man", "ls"]), "an alias has the page of its command");
    assert!(user.ok(&["man", "calendars", "put"]).contains("upbeat calendars put"));
    let (line, hint) = refused(&user, 2, &["man", "ad"]);
    assert!(line.contains("\"ad\"") && hint.contains("add"), "{line} {hint}");
    refused(&user, 2, &["man", "--dir", "/proc/nowhere"]);
}

#[test]
fn a_page_is_read_by_groff_without_a_warning() {
    if Command::new("groff").arg("--version").output().is_err() {
        eprintln!("skipped: no groff");
        return;
    }
    let user = Upbeat::at("redis://127.0.0.1:1");
    user.ok(&["man", "--dir", "."]);
    for name in ["upbeat", "upbeat-add", "upbeat-runs", "upbeat-dead-retry"] {
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww", "-P-cbou", &format!("{name}.1")]).current_dir(user.dir());
        let read = groff.stdin(Stdio::null()).output().unwrap();
        let (text, said) =
            (String::from_utf8_lossy(&read.stdout).into_owned(), String::from_utf8_lossy(&read.stderr).into_owned());
        assert!(read.status.success() && said.is_empty(), "{name}: {said}");
        assert!(text.contains("EXAMPLES") && text.contains("NAME") && text.contains("OPTIONS"), "{text}");
    }
    let mut groff = Command::new("groff");
    let read = groff.args(["-man", "-Tutf8", "-P-cbou", "upbeat-add.1"]).current_dir(user.dir()).output().unwrap();
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    let line = "upbeat add report --cron '0 9 * * mon-fri' --tz Asia/Shanghai --timeout 10m -- ./report.sh";
    assert!(text.contains(line), "an example can be pasted: {text}");
}
