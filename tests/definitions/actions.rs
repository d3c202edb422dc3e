//! What an entry does.

use upbeat::domain::action::{Action, DirectForm, Kind};
use upbeat::domain::policy::Overlap;
use upbeat::domain::span::Span;

use crate::{entry, refusal, refused};

fn does(action: &str) -> String {
    format!("every = '5m'\n{action}")
}

#[test]
fn exec_is_a_list_of_texts() {
    assert_eq!(entry(&does("exec = ['df', '-h', '']")).action, Action::Exec(vec!["df".into(), "-h".into(), "".into()]));
    assert_eq!(
        refused(&does("exec = 'df -h'")),
        r#"exec: "df -h" is not a list of texts | write exec = ["df","-h"] or shell = "df -h""#
    );
    for wrong in ["[]", "['']", "[1]", "['a', \"\\u0000\"]", "{}", "5"] {
        assert_eq!(refusal(&does(&format!("exec = {wrong}"))).field.as_deref(), Some("exec"), "{wrong}");
    }
    for wrong in ["''", "'  '", "['a']", "\"a\\u0000\""] {
        assert_eq!(refusal(&does(&format!("shell = {wrong}"))).field.as_deref(), Some("shell"), "{wrong}");
    }
}

#[test]
fn env_and_cwd_go_with_commands_only() {
    let command = entry(&does("shell = 'x'\nenv = { A = 'secret:DB', _b1 = '' }\ncwd = '/srv'"));
    assert_eq!(command.env["A"], "secret:DB");
    assert_eq!(command.cwd.as_deref(), Some("/srv"));
    assert_eq!(command.action.kind(), Some(Kind::Shell));
    for (line, field) in [
        ("env = { UPBEAT_X = '1' }", "env.UPBEAT_X"),
        ("env = { A = 'secret:UPBEAT_REDIS' }", "env.A"),
        ("env = { A = 'secret:' }", "env.A"),
        ("env = { A = 'secret:a b' }", "env.A"),
        ("env = { A = 'secret:../x' }", "env.A"),
        ("env = { A = 'x secret:DB' }", "env.A"),
        ("env = { '1A' = 'x' }", "env.1A"),
        ("env = { 'A=B' = 'x' }", "env.A=B"),
        ("env = { PORT = 8080 }", "env.PORT"),
        ("env = ['A=B']", "env"),
        ("cwd = ''", "cwd"),
        ("cwd = 5", "cwd"),
    ] {
        assert_eq!(refusal(&does(&format!("shell = 'x'\n{line}"))).field.as_deref(), Some(field), "{line}");
    }
    for line in ["env = {}", "cwd = '/srv'"] {
        assert!(refused(&does(&format!("http = 'https://a'\n{line}"))).contains("exec and shell only"));
    }
}

#[test]
fn http_is_a_line_or_a_table() {
    let Action::Http(short) = entry(&does("http = 'https://hooks.example.org/x'")).into_data().action else { panic!() };
    assert_eq!((short.method.as_str(), short.ok), ("GET", vec![(200, 299)]));
    let long = entry(&does(
        "timeout = '5s'\nhttp = { method = 'POST', url = 'secret:HOOK', headers = { Authorization = 'secret:T' }, ok = ['200-299', 404, '410'] }",
    ));
    assert_eq!(long.effective_timeout(), Some(Span(5_000)));
    let Action::Http(http) = long.into_data().action else { panic!() };
    assert_eq!(http.ok, [(200, 299), (404, 404), (410, 410)]);
    assert_eq!(http.headers["Authorization"], "secret:T");
    let plain = entry(&does("http = 'POST https://a.example/x?y=1'"));
    assert_eq!(plain.effective_timeout(), Some(Span(30_000)));
    assert_eq!(plain.reads(), "http POST https://a.example/x?y=1");
}

#[test]
fn http_refuses_what_is_no_request() {
    for (wrong, field) in [
        ("''", "http"),
        ("5", "http"),
        ("'POST https://a b'", "http"),
        ("'post https://a'", "http"),
        ("'ftp://a'", "http"),
        ("'example.org'", "http"),
        ("'https://'", "http"),
        ("{ method = 'POST' }", "http.url"),
        ("{ url = 'file:///etc/passwd' }", "http.url"),
        ("{ url = 'https://a', method = 'CONNECT' }", "http.method"),
        ("{ url = 'https://a', method = 'PO ST' }", "http.method"),
        ("{ url = 'https://a', metod = 'POST' }", "http.metod"),
        ("{ url = 'https://a/secret:TOKEN' }", "http.url"),
        ("{ url = 'https://a', headers = { Connection = 'close' } }", "http.headers.Connection"),
        ("{ url = 'https://a', headers = { idempotency-key = 'x' } }", "http.headers.idempotency-key"),
        ("{ url = 'https://a', headers = { Upbeat-Run-Id = 'x' } }", "http.headers.Upbeat-Run-Id"),
        ("{ url = 'https://a', headers = { 'a b' = 'x' } }", "http.headers.a b"),
        ("{ url = 'https://a', headers = { a = \"x\\ny\" } }", "http.headers.a"),
        ("{ url = 'https://a', headers = { a = 'x', A = 'y' } }", "http.headers.a"),
        ("{ url = 'https://a', headers = { Authorization = 'Bearer secret:T' } }", "http.headers.Authorization"),
        ("{ url = 'https://a', headers = { A = 5 } }", "http.headers.A"),
        ("{ url = 'https://a', ok = [] }", "http.ok"),
        ("{ url = 'https://a', ok = '2xx' }", "http.ok"),
        ("{ url = 'https://a', ok = ['299-200'] }", "http.ok"),
        ("{ url = 'https://a', ok = [99] }", "http.ok"),
        ("{ url = 'https://a', ok = [600] }", "http.ok"),
    ] {
        assert_eq!(refusal(&does(&format!("http = {wrong}"))).field.as_deref(), Some(field), "{wrong}");
    }
    assert!(refused(&does("http = 'post https://a'")).contains("is not a method in upper case"));
}

#[test]
fn no_request_goes_to_a_metadata_service() {
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "[::ffff:169.254.169.254]",
    ] {
        assert!(refused(&does(&format!("http = 'http://{host}/latest'"))).contains("metadata"), "{host}");
    }
    entry(&does("http = 'http://127.0.0.1:8080/'"));
}

#[test]
fn direct_actions_name_a_target() {
    let Action::Direct(stream) =
        entry(&does("stream = { key = 'jobs', max_len = 5, trim = true, raw = true }")).into_data().action
    else {
        panic!()
    };
    assert_eq!((stream.form, stream.max_len, stream.trim, stream.raw), (DirectForm::Stream, 5, true, true));
    let list = entry(&does("list = 'jobs'"));
    assert_eq!(list.overlap, Overlap::Allow);
    assert_eq!(list.action.kind(), None);
    assert_eq!(list.reads(), "list jobs");
    let Action::Direct(list) = list.into_data().action else { panic!() };
    assert_eq!((list.form, list.max_len, list.trim, list.raw), (DirectForm::List, 100_000, false, false));
    let Action::Direct(publish) = entry(&does("publish = { channel = 'c', raw = true }")).into_data().action else {
        panic!()
    };
    assert_eq!((publish.target.as_str(), publish.max_len), ("c", 0));
    for (wrong, field) in [
        ("stream = ''", "stream"),
        ("stream = 5", "stream"),
        ("stream = 'upbeat:{default:0}:due'", "stream"),
        ("list = { key = 'upbeat:x' }", "list.key"),
        ("publish = 'upbeat:x'", "publish"),
        ("stream = {}", "stream.key"),
        ("list = { key = 'a', trim = true }", "list.trim"),
        ("publish = { key = 'a' }", "publish.key"),
        ("publish = { channel = 'a', max_len = 5 }", "publish.max_len"),
        ("stream = { key = 'a', max_len = 0 }", "stream.max_len"),
        ("stream = { key = 'a', max_len = 10000001 }", "stream.max_len"),
        ("stream = { key = 'a', raw = 'yes' }", "stream.raw"),
        ("stream = 'a'\noverlap = 'skip'", "overlap"),
        ("stream = 'a'\ntimeout = '5m'", "timeout"),
        ("stream = 'a'\ncwd = '/'", "cwd"),
    ] {
        assert_eq!(refusal(&does(wrong)).field.as_deref(), Some(field), "{wrong}");
    }
    refusal(&does(&format!("list = '{}'", "x".repeat(513))));
    entry(&does("list = 'a'\noverlap = 'allow'\nstart_within = '1h'"));
}

#[test]
fn an_action_reads_on_one_line() {
    assert_eq!(entry(&does("exec = ['sh', '-c', 'df -h | tail -1']")).reads(), "exec sh -c 'df -h | tail -1'");
    assert_eq!(entry(&does("shell = 'a | b'")).reads(), "shell a | b");
    assert_eq!(entry(&does("shell = \"a\\nb\"")).reads(), "shell $'a\\nb'");
    assert_eq!(entry(&does("http = 'https://u:p@a.example/'")).reads(), "http GET https://u:***@a.example/");
}
