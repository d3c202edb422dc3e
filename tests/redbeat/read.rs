//! What a real RedBeat becomes: the same instants, the same messages, or a line that says why not.

use serde_json::{Value, json};

use crate::support::celery::{self, python};
use crate::support::cli::Upbeat;
use crate::support::redbeat::{field, save};
use crate::support::redis::{Options, RedisServer};

#[test]
fn real_entries_keep_their_phase_their_message_and_whether_they_fire() {
    let Some(python) = python() else { return };
    let redis = RedisServer::fresh();
    save(
        &python,
        &redis,
        "save('tick', schedule(2.5), options={'queue': 'other', 'priority': 5, 'expires': 60})\n\
         save('Clean up (daily)', crontab(minute='30', hour='2'))\nsave('off', schedule(60.0), enabled=False)\n\
         save('rule', rrule('WEEKLY', byweekday=(0, 4), byhour=9, byminute=0, bysecond=0, dtstart=datetime(2026, 1, 1, tzinfo=timezone.utc)))",
    );
    let user = Upbeat::at(redis.url());
    let before = redis.keys();
    let file = user.json(&["import", "redbeat", &redis.url(), "--tz", "Europe/Berlin"]);
    assert_eq!(redis.keys(), before, "nothing is written");
    let entries = &file["entries"];
    let last = &field(&redis, "tick", "meta")["last_run_at"];
    let part = |name: &str| last[name].as_u64().unwrap();
    let anchor = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        part("year"),
        part("month"),
        part("day"),
        part("hour"),
        part("minute"),
        part("second"),
        part("microsecond") / 1000
    );
    assert_eq!((&entries["tick"]["every"], &entries["tick"]["anchor"]), (&json!("2s500ms"), &json!(anchor)));
    let celery = &entries["tick"]["celery"];
    assert_eq!((&celery["task"], &celery["args"]), (&json!("app.record"), &json!(["tick"])));
    assert_eq!((&celery["queue"], &celery["priority"], &celery["expires"]), (&json!("other"), &json!(5), &json!("1m")));
    assert_eq!(celery.get("broker"), None, "the broker is upbeat's own database");
    let daily = &entries["Clean-up-daily"];
    assert_eq!((&daily["cron"], &daily["tz"]), (&json!("30 2 * * *"), &json!("Europe/Berlin")), "{file}");
    assert_eq!(daily["labels"]["celery_name"], "Clean up (daily)");
    assert_eq!(entries["off"]["paused"], true);
    assert!(entries["rule"]["rrule"].as_str().unwrap().contains("BYDAY=MO,FR"), "{file}");
    for (_, entry) in entries.as_object().unwrap() {
        assert_eq!((&entry["overlap"], &entry["catch_up"]), (&json!("allow"), &json!("latest")));
    }
    let without = user.run(&["import", "redbeat", &redis.url()]).expect_code(0);
    assert!(without.stderr.contains("Clean up (daily)") && without.stderr.contains("--tz ZONE"), "{}", without.stderr);
}

#[test]
fn it_is_read_through_tls_with_a_password_a_prefix_and_another_database() {
    let redis = RedisServer::start(Options { tls: true, requirepass: Some("secret".into()), ..Options::default() });
    let definition = r#"{"name": "tick", "task": "app.record", "args": null, "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true}"#;
    let script = "redis.call('SELECT', 3) redis.call('HSET', 'prod[1]:tick', 'definition', ARGV[1]) redis.call('ZADD', 'prod[1]::schedule', 1, 'prod[1]:tick') redis.call('SET', 'prod[1]:mutex', 'a', 'PX', 50000)";
    redis.ask(&["EVAL", script, "0", definition]);
    let mine = RedisServer::fresh();
    let url = redis.tls_url().replace("rediss://", "rediss://:secret@") + "/3";
    let ca = redis.ca_file();
    let user = Upbeat::at(mine.url());
    let words =
        ["import", "redbeat", &url, "--prefix", "prod[1]:", "--lock-key", "mutex", "--redis-ca", ca.to_str().unwrap()];
    let file = user.json(&words);
    assert_eq!(
        file["entries"]["tick"]["celery"]["broker"], "secret:CELERY_BROKER",
        "no password stands in an entry: {file}"
    );
    let seen = user.run(&words).expect_code(0);
    assert!(seen.stderr.contains("secret CELERY_BROKER") && !seen.stderr.contains(":secret@"), "{}", seen.stderr);
    let wrong = words.map(|word| if word == url { "rediss://:wrong@localhost:1/3" } else { word });
    let told = user.error(5, &wrong);
    assert!(!told.to_string().contains("wrong@"), "{told}");
}

#[test]
fn an_exchange_leads_where_its_binding_says() {
    let Some(python) = python() else { return };
    let redis = RedisServer::fresh();
    save(
        &python,
        &redis,
        "save('bound', schedule(60.0), options={'exchange': 'ex', 'routing_key': 'a'})\n\
         save('unbound', schedule(60.0), options={'exchange': 'ex1', 'routing_key': 'rk1'})",
    );
    // As kombu itself binds it.
    celery::run(
        &python,
        &redis,
        "from celery_app import app\nfrom kombu import Exchange, Queue\nwith app.connection_for_write() as c:\n\
         \x20   Queue('mails', Exchange('ex', type='direct'), routing_key='a').bind(c.default_channel).declare()",
    );
    let user = Upbeat::at(redis.url());
    let file = user.json(&["import", "redbeat", &redis.url()]);
    assert_eq!(file["entries"]["bound"]["celery"]["queue"], "mails", "{file}");
    let seen = user.run(&["import", "redbeat", &redis.url()]).expect_code(0);
    assert!(
        seen.stderr.contains("redbeat:unbound refused") && seen.stderr.contains("drops this message"),
        "{}",
        seen.stderr
    );
}

#[test]
fn what_can_not_be_a_redbeat_is_refused_with_the_way_out() {
    let redis = RedisServer::fresh();
    let user = Upbeat::at(redis.url());
    let hint = |words: &[&str]| user.error(2, words)["hint"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        hint(&["import", "redbeat", "redis+socket:///run/r.sock?virtual_host=2"]),
        "write unix:///run/r.sock?db=2"
    );
    assert!(hint(&["import", "redbeat", "sentinel://h:26379"]).contains("GET-MASTER-ADDR"));
    let url = redis.url();
    for words in [
        vec!["--take-over", "--hand-back"],
        vec!["--shadow", "1m", "--take-over"],
        vec!["--apply", "--take-over"],
        vec!["--without-refused"],
        vec!["--no-wait"],
        vec!["--lock-key", "a", "--no-lock"],
        vec!["--tz", "Berlin"],
        vec!["--shadow", "0s"],
    ] {
        let mut all = vec!["import", "redbeat", url.as_str()];
        all.extend(&words);
        let told: Value = user.error(2, &all);
        assert_eq!(told["code"], "invalid", "{words:?}");
    }
}
