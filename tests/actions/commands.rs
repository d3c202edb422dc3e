//! What commands get, and what of theirs is kept.

use upbeat::domain::action::{Action, Direct, DirectForm};
use upbeat::domain::run::{Reason, State};
use upbeat::domain::timestamp::Timestamp;
use upbeat::node::action::{Ending, Executor, ExecutorConfig, Stop};

use super::vocabulary::*;

#[tokio::test]
async fn an_argv_arrives_as_it_is() {
    let mut attempt = exec(&["printf", "[%s]", "a b", "", "$HOME", "*", "--flag=x\ny"]);
    attempt.extra_args = vec!["more".into(), "; true".into()];
    let outcome = run(attempt).await;
    assert_eq!(text(&outcome), "[a b][][$HOME][*][--flag=x\ny][more][; true]");
    assert_eq!((outcome.ending, outcome.exit_code, outcome.message), (Ending::Succeeded, Some(0), None));
}

#[tokio::test]
async fn a_shell_text_has_pipes_and_sees_more_arguments_from_one_on() {
    let mut attempt = shell("echo \"$0 $1 $2\" | tr a-z A-Z");
    attempt.extra_args = vec!["x y".into(), "z".into()];
    assert_eq!(text(&run(attempt).await), "SH X Y Z\n");
}

#[tokio::test]
async fn a_command_sees_its_facts_and_the_entrys_variables_and_nothing_else() {
    let mut attempt = exec(&["/usr/bin/env"]);
    attempt.env = [("REGION".into(), "cn".into()), ("LANG".into(), "xx".into())].into();
    attempt.context.last_success_at = Some(Timestamp(1_795_140_000_000));
    attempt.context.last_state = Some(State::Failed);
    attempt.context.last_result = Some("cursor=7".into());
    let run_id = attempt.context.run_id.clone();
    let outcome = run(attempt).await;
    let mut seen: Vec<&str> = text(&outcome).lines().filter(|line| !line.starts_with("UPBEAT_RESULT=/")).collect();
    seen.sort_unstable();
    let mut expected: Vec<String> = [
        "LANG=xx",
        "REGION=cn",
        "UPBEAT_ATTEMPT=2",
        "UPBEAT_DUE_AT=2026-11-21T02:00:07.500Z",
        "UPBEAT_ENTRY_ID=daily-report",
        "UPBEAT_FENCE=1795226400000001",
        "UPBEAT_FIRE_AT=2026-11-21T02:00:00.000Z",
        "UPBEAT_LAST_RESULT=cursor=7",
        "UPBEAT_LAST_STATE=failed",
        "UPBEAT_LAST_SUCCESS_AT=2026-11-20T02:00:00.000Z",
        "UPBEAT_NAMESPACE=prod",
        "UPBEAT_NODE=node-a",
        "UPBEAT_TRIGGER=scheduled",
    ]
    .map(String::from)
    .into();
    expected.push(format!("UPBEAT_RUN_ID={run_id}"));
    expected.extend(["PATH", "HOME"].iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?))));
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_first_run_has_no_last_facts_and_a_passed_variable_arrives() {
    // Any variable that this process happens to have, as long as it is none of those that are passed anyway.
    let passed_anyway = |name: &str| ["PATH", "HOME", "LANG"].contains(&name) || name.starts_with("UPBEAT_");
    let mut variables = std::env::vars().filter(|(name, value)| !passed_anyway(name) && !value.contains('\n'));
    let (name, value) = variables.next().unwrap();
    let executor = Executor::new(ExecutorConfig { pass_env: vec![name.clone()], ..config() }).unwrap();
    let outcome = run_by(&executor, exec(&["env"])).await;
    assert!(!text(&outcome).contains("UPBEAT_LAST_"));
    assert!(text(&outcome).lines().any(|line| line == format!("{name}={value}")));
}

#[tokio::test]
async fn a_payload_is_standard_input_and_without_one_there_is_nothing_to_read() {
    let mut attempt = shell("cat; echo; readlink /proc/self/fd/0");
    attempt.payload = Some(b"{\"region\":\"cn\"}".to_vec());
    assert!(text(&run(attempt).await).starts_with("{\"region\":\"cn\"}\n"));
    assert_eq!(text(&run(shell("cat; readlink /proc/self/fd/0")).await), "/dev/null\n");
}

#[tokio::test]
async fn a_payload_that_nobody_reads_blocks_nothing() {
    for command in ["true", "exec 0<&-; true", "head -c 1"] {
        let mut attempt = shell(command);
        attempt.payload = Some(vec![b'x'; 1024 * 1024]);
        assert_eq!(run(attempt).await.ending, Ending::Succeeded, "{command}");
    }
}

#[tokio::test]
async fn both_outputs_are_kept_in_the_order_they_came() {
    assert_eq!(text(&run(shell("echo one; echo two >&2; echo three")).await), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn what_a_quick_command_writes_just_before_its_end_is_kept() {
    for number in 0..200 {
        let word = number.to_string();
        assert_eq!(text(&run(exec(&["echo", &word])).await), format!("{word}\n"));
    }
}

#[tokio::test]
async fn a_command_that_closes_its_outputs_still_counts_to_its_end() {
    let outcome = run(shell("echo before; exec >&- 2>&-; sleep 0.05; exit 4")).await;
    assert_eq!((text(&outcome), outcome.exit_code), ("before\n", Some(4)));
}

#[tokio::test]
async fn of_ten_megabytes_the_last_64_kib_are_kept() {
    let outcome = run(shell("head -c 10000000 /dev/zero | tr '\\0' x; printf end")).await;
    assert_eq!((outcome.output.len(), outcome.written), (64 * 1024, 10_000_003));
    assert!(outcome.output.ends_with(b"xxend"));
}

#[tokio::test]
async fn what_a_command_writes_can_be_read_while_it_runs_and_a_secret_never() {
    let dir = tempfile::tempdir().unwrap();
    let go = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(dir.path().join("TOKEN_OF_A_TEST"), "hunter22\n").unwrap();
    let wait = |name: &str| format!("while [ ! -e {} ]; do sleep 0.01; done", go(name));
    let script =
        format!("echo before; printf %.4s $T; {}; printf %s ${{T#????}}; echo; {}; echo end", wait("one"), wait("two"));
    let mut attempt = shell(&script);
    attempt.env.insert("T".into(), "secret:TOKEN_OF_A_TEST".into());
    let output = attempt.output.clone();
    let executor = Executor::new(ExecutorConfig { secrets_dir: Some(dir.path().into()), ..config() }).unwrap();
    let done = tokio::spawn(async move { run_by(&executor, attempt).await });
    let seen = || String::from_utf8(output.tail().1).unwrap();
    eventually("the first line is there", || seen() == "before\n").await;
    std::fs::write(go("one"), "").unwrap();
    eventually("the secret is complete", || seen() == "before\n***\n").await;
    std::fs::write(go("two"), "").unwrap();
    let outcome = done.await.unwrap();
    assert_eq!((text(&outcome), outcome.written), ("before\n***\nend\n", 15));
}

#[tokio::test]
async fn codes_and_signals_are_told_apart() {
    let outcome = run(shell("exit 3")).await;
    assert_eq!((outcome.ending, outcome.exit_code), (Ending::Failed(Reason::Exit), Some(3)));
    assert_eq!(outcome.message.unwrap(), "exited with code 3");
    let outcome = run(shell("kill -SEGV $$")).await;
    assert_eq!((outcome.ending, outcome.exit_code), (Ending::Failed(Reason::Signal), None));
    assert_eq!(outcome.message.unwrap(), "killed by SIGSEGV");
    let outcome = run(shell("kill -40 $$")).await;
    assert_eq!(
        (outcome.ending, outcome.message.unwrap().as_str()),
        (Ending::Failed(Reason::Signal), "killed by a real-time signal")
    );
}

#[tokio::test]
async fn what_is_missing_is_refused_by_name() {
    let mut no_folder = exec(&["true"]);
    no_folder.cwd = Some("no/such/folder".into());
    let mut no_secret = exec(&["true"]);
    no_secret.env = [("TOKEN".into(), "secret:NO_SUCH_SECRET".into())].into();
    let mut own_variable = exec(&["true"]);
    own_variable.env = [("TOKEN".into(), "secret:UPBEAT_REDIS".into())].into();
    let mut taken = exec(&["true"]);
    taken.env = [("UPBEAT_FENCE".into(), "1".into())].into();
    for (attempt, name) in [
        (taken, "variable \"UPBEAT_FENCE\""),
        (exec(&["no-such-program"]), "program \"no-such-program\" is not on PATH"),
        (exec(&["./no-such-program"]), "program \"./no-such-program\" does not exist"),
        (exec(&["./Cargo.toml"]), "program \"./Cargo.toml\" is not executable"),
        (exec(&[]), "no program"),
        (exec(&["echo", "a\0b"]), "NUL"),
        (no_folder, "cwd \"no/such/folder\""),
        (no_secret, "secret \"NO_SUCH_SECRET\""),
        (own_variable, "UPBEAT_REDIS"),
    ] {
        let outcome = run(attempt).await;
        assert_eq!(outcome.ending, Ending::Failed(Reason::Refused), "{name}");
        assert!(outcome.message.as_ref().unwrap().contains(name), "{:?} has no {name:?}", outcome.message);
    }
}

#[tokio::test]
async fn what_the_kernel_cannot_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let outcome = run(exec(&[script.to_str().unwrap()])).await;
    assert_eq!(outcome.ending, Ending::Failed(Reason::Refused));
    assert!(outcome.message.unwrap().contains("can't be started: No such file"));
}

#[tokio::test]
async fn a_direct_action_is_refused() {
    let direct = Direct { form: DirectForm::List, target: "jobs".into(), max_len: 1, trim: false, raw: false };
    assert_eq!(run(attempt(Action::Direct(direct))).await.ending, Ending::Failed(Reason::Refused));
}

#[tokio::test]
async fn a_program_is_found_on_the_entrys_path_and_cwd_does_not_move_it() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/pwd", folder.path().join("where-am-i")).unwrap();
    let mut attempt = exec(&["where-am-i"]);
    attempt.env = [("PATH".into(), folder.path().to_str().unwrap().into())].into();
    attempt.cwd = Some("/".into());
    assert_eq!(text(&run(attempt).await), "/\n");
    let mut relative = exec(&["tests/../src/../tests/actions/here.sh"]);
    relative.cwd = Some("src".into());
    assert_eq!(text(&run(relative).await).trim_end(), std::env::current_dir().unwrap().join("src").to_str().unwrap());
}

#[tokio::test]
async fn a_result_is_kept_without_its_newline_and_its_file_removed() {
    let outcome = run(shell("echo cursor=7 > $UPBEAT_RESULT; printf %s $UPBEAT_RESULT")).await;
    assert_eq!(outcome.result.as_deref(), Some("cursor=7"));
    assert!(!std::path::Path::new(text(&outcome)).exists());
    assert_eq!(run(exec(&["true"])).await.result, None);
}

#[tokio::test]
async fn secrets_reach_the_command_and_are_cut_out_of_what_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("DB"), "hunter22\n").unwrap();
    let executor = Executor::new(ExecutorConfig { secrets_dir: Some(folder.path().into()), ..config() }).unwrap();
    // In two writes, so that two reads see a half each; the file shows that the value arrived whole.
    let seen = folder.path().join("seen");
    let text_of = format!(
        "printf hunt; sleep 0.05; printf 'er22 is %s' $DB; echo $DB > $UPBEAT_RESULT; printf %s $DB > {}",
        seen.display()
    );
    let mut attempt = shell(&text_of);
    attempt.env = [("DB".into(), "secret:DB".into()), ("NOT".into(), "a secret:DB".into())].into();
    let outcome = run_by(&executor, attempt).await;
    assert_eq!(text(&outcome), "*** is ***");
    assert_eq!(outcome.result.as_deref(), Some("***"));
    assert_eq!(std::fs::read_to_string(seen).unwrap(), "hunter22");
}

#[tokio::test]
async fn secrets_beyond_the_nodes_list_are_refused() {
    let executor = Executor::new(ExecutorConfig { secrets: Some(vec!["OTHER".into()]), ..config() }).unwrap();
    let mut attempt = exec(&["true"]);
    attempt.env = [("HOME_TOO".into(), "secret:HOME".into())].into();
    let outcome = run_by(&executor, attempt).await;
    assert_eq!(outcome.ending, Ending::Failed(Reason::Refused));
    assert!(outcome.message.unwrap().contains("\"HOME\" is not among the --secrets"));
}

#[tokio::test]
async fn commands_lead_a_session_of_their_own_without_blocked_signals_or_foreign_descriptors() {
    let outcome = run(shell(
        "ls /proc/self/fd | wc -w; grep SigBlk /proc/self/status; test $(cut -d ' ' -f 6 /proc/$$/stat) = $$ && echo leads",
    ))
    .await;
    // 0, 1, 2 and the folder that ls reads.
    assert_eq!(text(&outcome), "4\nSigBlk:\t0000000000000000\nleads\n");
}

#[tokio::test]
async fn a_replaced_program_file_does_not_touch_a_running_node() {
    // A link and not a copy: a file that is being written while another test forks can't be executed for a moment.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = folder.path().join("upbeat");
    std::fs::hard_link(env!("CARGO_BIN_EXE_upbeat"), &program).unwrap();
    let executor = Executor::new(ExecutorConfig { program: Some(program.clone()), ..config() }).unwrap();
    std::fs::remove_file(&program).unwrap();
    assert_eq!(run_by(&executor, exec(&["true"])).await.ending, Ending::Succeeded);
}

#[test]
fn a_missing_supervisor_program_is_an_error_at_start() {
    let error = Executor::new(ExecutorConfig { program: Some("/no/such/upbeat".into()), ..config() }).unwrap_err();
    assert_eq!(error.problem().value.as_deref(), Some("/no/such/upbeat"));
}

#[tokio::test]
async fn who_is_asked_to_stop_before_it_began_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    for (stop, ending) in
        [(Stop::Cancel, Ending::Cancelled), (Stop::Lost, Ending::Lost), (Stop::Drain, Ending::HandBack)]
    {
        let (_asker, asked) = tokio::sync::watch::channel(Some(stop));
        assert_eq!(executor().execute(exec(&["touch", mark.to_str().unwrap()]), asked).await.ending, ending);
    }
    assert!(!mark.exists());
}
