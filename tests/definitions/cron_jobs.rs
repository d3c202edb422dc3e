//! CronJobs of Kubernetes.

use proptest::prelude::*;
use serde_json::{Value, json};
use upbeat::domain::file::ScheduleFile;
use upbeat::domain::import::Import;
use upbeat::domain::import::k8s::{K8sRules, Running, import_cron_jobs};

const MANIFESTS: &str = include_str!("../data/k8s/cronjobs.yaml");

fn import(text: &str, running: Running) -> Import {
    import_cron_jobs(&[(None, text)], &K8sRules { tz: None, running })
}

fn fields(import: &Import, id: &str) -> Value {
    let found = import.file.entries.iter().find(|entry| entry.id.as_str() == id);
    Value::Object(found.unwrap_or_else(|| panic!("no {id}")).entry.fields().clone())
}

#[test]
fn a_cron_job_becomes_an_entry_with_the_rules_of_its_controller() {
    let import = import(MANIFESTS, Running::Command);
    assert_eq!(
        fields(&import, "hello"),
        json!({"cron": "* * * * *", "exec": ["/bin/sh", "-c", "date; echo Hello from the cluster"],
               "retry": {"max_attempts": 7, "backoff": "exponential", "delay": "10s", "max_delay": "6m", "jitter": 0},
               "overlap": "allow", "catch_up": "latest", "labels": {"image": "busybox:1.28"}})
    );
    assert_eq!(
        fields(&import, "prod.backup"),
        json!({"cron": "30 2 * * 1-5", "tz": "Europe/Berlin", "dst": {"gap": "skip", "fold": "both"},
               "exec": ["backup", "--to", "s3://backups/production", "--note", "$(date)", "5"],
               "env": {"BUCKET": "backups", "ENVIRONMENT": "production", "PASSWORD": "secret:DB_CREDENTIALS_PASSWORD",
                       "environment": "production", "region": "eu-1"},
               "cwd": "/srv", "timeout": "3600s",
               "retry": {"max_attempts": 3, "backoff": "exponential", "delay": "10s", "max_delay": "6m", "jitter": 0,
                         "within": "3600s"},
               "overlap": "skip", "catch_up": "latest", "start_within": "600s", "keep_runs": 7,
               "labels": {"app.kubernetes.io/name": "backup", "tier": "gold", "k8s_namespace": "prod",
                          "image": "registry.example.org/backup:2"}})
    );
    let paused: Vec<&str> =
        import.file.entries.iter().filter(|entry| entry.is_paused).map(|entry| entry.id.as_str()).collect();
    assert_eq!(paused, ["prod.backup"]);
    assert_eq!(
        fields(&import, "replace"),
        json!({"cron": "0 5 1-31/2 * 1", "tz": "Asia/Tokyo", "dst": {"gap": "skip", "fold": "both"}, "exec": ["true"], "overlap": "cancel_other",
               "catch_up": "latest", "labels": {"image": "a"}})
    );
    assert_eq!(fields(&import, "every")["every"], "5400s");
    assert_eq!(fields(&import, "every")["start"], "2026-11-20T10:00:10.000Z");
}

#[test]
fn what_a_command_cannot_stand_for_is_refused_by_manifest_with_the_way_out() {
    let import = import(MANIFESTS, Running::Command);
    let refused: Vec<(&str, &str)> =
        import.refused.iter().map(|one| (one.place.as_str(), one.hint.as_deref().unwrap_or("-"))).collect();
    let of = |place: &str| {
        let hint = refused.iter().find(|(its, _)| *its == place);
        hint.unwrap_or_else(|| panic!("{place} is not among {refused:?}")).1
    };
    for place in ["prod/entrypoint", "sidecar", "prepared", "names-its-pod"] {
        assert!(of(place).contains("--run kubectl"), "{place}");
    }
    assert!(of("sunday").contains("Sunday is 0"));
    assert!(of("needs-a-map").contains("configmaps"));
    assert!(of("document 7 (line 127)").contains("helm template"));
    assert_eq!(of("document 8 (line 133)"), "-");
    assert_eq!(refused.len(), 8, "{refused:?}");
    let notes = import.notes.join("\n");
    for said in [
        "DB_CREDENTIALS_PASSWORD: password of Secret db-credentials",
        "1 Deployment",
        "serviceAccountName, volumes",
        "no container comes along",
        "buffer_one",
        "no timeZone",
    ] {
        assert!(notes.contains(said), "{said} is not in\n{notes}");
    }
}

/// A CronJob with this container.
fn with_container(namespace: &str, name: &str, container: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{schedule: '@daily', \
         jobTemplate: {{spec: {{template: {{spec: {{containers: [{{{container}}}]}}}}}}}}}}\n---\n"
    )
}

#[test]
fn secrets_that_differ_have_names_that_differ() {
    let container = |secret: &str, key: &str| {
        format!("command: [x], env: [{{name: P, valueFrom: {{secretKeyRef: {{name: {secret}, key: {key}}}}}}}]")
    };
    let text: String = [
        ("prod", "a", "db", "api-password"),
        ("prod", "b", "db-api", "password"),
        ("stage", "c", "db", "api-password"),
        ("prod", "d", "db", "api.password"),
        ("prod", "e", "db", "api-password"),
    ]
    .map(|(namespace, name, secret, key)| with_container(namespace, name, &container(secret, key)))
    .concat();
    let import = import(&text, Running::Command);
    let names: Vec<String> = import.file.entries.iter().map(|one| one.entry.fields()["env"]["P"].to_string()).collect();
    let plain = "\"secret:DB_API_PASSWORD\"";
    assert_eq!(
        names,
        [
            plain,
            "\"secret:PROD_DB_API_PASSWORD\"",
            "\"secret:STAGE_DB_API_PASSWORD\"",
            "\"secret:PROD_DB_API_PASSWORD_2\"",
            plain
        ]
    );
    let notes = import.notes.join("\n");
    assert!(notes.contains("STAGE_DB_API_PASSWORD: api-password of Secret db in stage"), "{notes}");
}

#[test]
fn what_can_not_be_taken_as_it_stands_is_refused_and_never_left_out() {
    for (container, said) in [
        ("command: [x, 1.10]", "command: 1.1 is not a text"),
        ("command: [x, no]", "command: false is not a text"),
        ("command: x", "command: \"x\" is not a list"),
        ("command: [x], args: z", "args: \"z\" is not a list"),
        ("command: [x], env: {A: b}", "env: {\"A\":\"b\"} is not a list"),
        ("command: [x], env: [{name: A, value: 0755}]", "env.A: "),
        ("command: [x], env: [{name: A, value: 'secret:B'}]", "env.A: a value that begins with secret:"),
        ("command: [x], envFrom: z", "envFrom: \"z\" is not a list"),
    ] {
        let import = import(&with_container("n1", "x", container), Running::Command);
        assert!(import.file.entries.is_empty(), "{container}");
        assert!(import.refused[0].reason.starts_with(said), "{container}: {}", import.refused[0].reason);
    }
}

#[test]
fn nothing_of_a_list_is_left_out_in_silence() {
    let item = r#"{"metadata": {"name": "x"}, "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec":
        {"containers": [{"command": ["y"]}]}}}}}}"#;
    let raw = format!(r#"{{"apiVersion": "batch/v1", "kind": "CronJobList", "items": [{item}]}}"#);
    assert_eq!(import(&raw, Running::Command).file.entries.len(), 1);
    let deep = format!("{}{raw}{}", r#"{"kind": "List", "items": ["#.repeat(3), "]}".repeat(3));
    for text in [deep, raw.replace("[{\"metadata", "{\"a\": {\"metadata").replace("}}}]}", "}}}}}")] {
        let import = import(&text, Running::Command);
        assert_eq!((import.file.entries.len(), import.refused.len()), (0, 1), "{text}");
    }
    let twice = with_container("prod", "a", "command: [x]").repeat(2);
    assert!(import(&twice, Running::Command).notes.join("\n").contains("more than once"));
}

#[test]
fn by_kubectl_every_container_comes_along() {
    let import = import(MANIFESTS, Running::Kubectl);
    let ids: Vec<&str> = import.file.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "hello",
            "prod.backup",
            "replace",
            "prod.entrypoint",
            "sidecar",
            "prepared",
            "needs-a-map",
            "names-its-pod",
            "every"
        ]
    );
    let backup = fields(&import, "prod.backup");
    let words = backup["exec"].as_array().unwrap();
    assert_eq!(
        (&words[0], &words[4], &words[5], &words[6]),
        (&json!("/bin/sh"), &json!("prod"), &json!("backup"), &json!("backup"))
    );
    // Its Job has them.
    assert_eq!((backup.get("retry"), backup.get("timeout"), backup.get("env")), (None, None, None));
    assert!(import.notes.join("\n").contains("kubectl patch cronjob"));
}

#[test]
fn json_lists_and_their_yaml_are_read_alike() {
    let list = |text: &str| import_cron_jobs(&[(Some("a"), text)], &K8sRules::default());
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "x"}, "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec":
        {"containers": [{"command": ["y"]}]}}}}}}]}"#;
    let flow = format!("# as YAML\n{json}");
    assert_eq!(list(json).file, list(&flow).file);
    assert_eq!(list(json).file.entries.len(), 1);
    assert!(list("{\"apiVersion\": ").refused[0].place.contains("a: document 1"));
}

#[test]
fn the_file_of_an_import_reads_back_as_the_same() {
    for running in [Running::Command, Running::Kubectl] {
        let file = import(MANIFESTS, running).file;
        assert_eq!(ScheduleFile::parse("x.toml", &file.to_toml()).unwrap(), file);
    }
}

#[test]
fn bombs_and_depths_are_refused() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (this, last) in ('b'..='k').zip('a'..='j') {
        bomb.push_str(&format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 9].join(",")));
    }
    for text in [
        bomb,
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "a: &a\n  b: *a\n".to_owned(),
        format!("a: {}", "x".repeat(1_000_000)),
        "a: 1\na: 2\n".to_owned(),
        "kind: CronJob\napiVersion: batch/v1\nspec: &s {jobTemplate: *s}\n".to_owned(),
        "\0\u{1}\u{7f}%&*!".to_owned(),
        "\u{feff}---\n---\n...\n--- x\n".to_owned(),
    ] {
        let import = import(&text, Running::Command);
        assert_eq!((import.file.entries.len(), import.refused.is_empty()), (0, false), "{:.60}", text);
    }
}

proptest! {
    #[test]
    fn damaged_manifests_are_reported_and_never_a_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "[\\PC\n\t]{0,6}"), 1..8),
    ) {
        let mut chars: Vec<char> = MANIFESTS.chars().collect();
        for (at, length, text) in cuts {
            let at = at.index(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, text.chars());
        }
        let text: String = chars.into_iter().collect();
        for running in [Running::Command, Running::Kubectl] {
            let import = import(&text, running);
            prop_assert!(!import.file.entries.is_empty() || !import.refused.is_empty());
        }
    }
}
