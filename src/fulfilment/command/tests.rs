//! The transport against programs that behave, misbehave and hang; all are `/bin/sh` with a script as its argument.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::*;
use crate::fulfilment::answer::AnswerFault;
use crate::fulfilment::answer::Handout;
use crate::protocol::result_code::ResultCode;

/// Long enough for every script that ends by itself, even on a busy machine.
const PATIENT: Duration = Duration::from_secs(60);
/// For scripts that must run into it.
const SHORT: Duration = Duration::from_millis(500);

fn event() -> Event {
    serde_json::from_str(
        r#"{"event":"instance.create","operationId":"op-1","attempt":1,"test":false,"kind":"saas","instanceId":"i-1","parameters":{}}"#,
    )
    .unwrap()
}

fn shell(script: &str, argument: &Path, timeout: Duration) -> CommandApplication {
    let command = ["/bin/sh", "-c", script, argument.to_str().unwrap()].map(str::to_owned);
    CommandApplication::new(&command, timeout).unwrap()
}

/// No stop.
static NEVER: AtomicBool = AtomicBool::new(false);

fn call(script: &str) -> Result<Answer, AttemptError> {
    shell(script, Path::new("sh"), PATIENT).call(&event(), &NEVER)
}

fn failure_of(script: &str) -> String {
    call(script).unwrap_err().to_string()
}

/// Runs a script that must be ended, demands that this takes no longer than SIGKILL does, and returns how long it took.
fn assert_times_out(script: &str, argument: &Path) -> Duration {
    let begun = Instant::now();
    let error = shell(script, argument, SHORT).call(&event(), &NEVER).unwrap_err();
    let took = begun.elapsed();
    assert_eq!(error.to_string(), "timed out after 500ms");
    assert!(took < SHORT + GRACE + Duration::from_secs(8), "{took:?}");
    took
}

/// Demands that the process whose number the file holds has ended (an orphan may stay a zombie where nobody reaps it).
fn assert_gone(pid_file: &Path) {
    let pid = fs::read_to_string(pid_file).unwrap().trim().to_owned();
    let is_running = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| !"ZX".contains(state))
    };
    let give_up_at = Instant::now() + Duration::from_secs(10);
    while is_running() {
        assert!(Instant::now() < give_up_at, "process {pid} is still running");
        std::thread::yield_now();
    }
}

#[test]
fn the_event_comes_on_stdin_and_the_answer_from_stdout() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("event");
    let script = r#"cat > "$0"; echo '{"status":"ready","access":{"frontEndUrl":"https://a/"}}'"#;
    let answer = shell(script, &copy, PATIENT).call(&event(), &NEVER).unwrap();
    assert!(
        matches!(answer, Answer::Ready(Handout { access: Some(access), .. }) if access.front_end_url() == "https://a/")
    );
    assert_eq!(fs::read_to_string(&copy).unwrap(), event().to_json());
}

#[test]
fn the_environment_is_small_and_names_event_and_operation() {
    let script = r#"[ -n "$CARGO_MANIFEST_DIR" ] && exit 9
        printf '{"status":"refused","resultCode":"000106","message":"%s %s"}' "$KOOGATE_EVENT" "$KOOGATE_OPERATION_ID""#;
    let result_code = ResultCode::parse("000106").unwrap();
    assert_eq!(call(script).unwrap(), Answer::Refused { result_code, message: "instance.create op-1".into() });
}

#[test]
fn arguments_reach_the_program_without_a_shell() {
    let command = ["printf", "%s", r#"{"status":"refused","resultCode":"000005","message":"$HOME; `id` *"}"#];
    let answer = CommandApplication::new(&command.map(str::to_owned), PATIENT).unwrap().call(&event(), &NEVER).unwrap();
    assert_eq!(answer, Answer::Refused { result_code: ResultCode::INTERNAL, message: "$HOME; `id` *".into() });
}

#[test]
fn an_exit_code_fails_the_attempt_and_shows_the_last_line_of_stderr() {
    assert_eq!(failure_of("echo first >&2; echo 'no disk' >&2; exit 3"), "exit code 3: no disk");
    assert_eq!(failure_of(r#"echo '{"status":"ready"}'; exit 1"#), "exit code 1");
    assert_eq!(failure_of("echo dying >&2; kill -9 $$"), "killed by signal 9: dying");
}

#[test]
fn an_empty_answer_means_done_except_for_a_creation() {
    assert_eq!(failure_of("true"), AnswerFault::EmptyForCreate.to_string());
    let release = Event { change: crate::fulfilment::event::Change::InstanceRelease, ..event() };
    assert_eq!(
        shell("true", Path::new("sh"), PATIENT).call(&release, &NEVER).unwrap(),
        Answer::Ready(Handout::default())
    );
}

#[test]
fn a_program_that_is_not_there_could_not_be_started() {
    let application = CommandApplication::new(&["/no/such/program".to_owned()], PATIENT).unwrap();
    let error = application.call(&event(), &NEVER).unwrap_err().to_string();
    assert!(error.starts_with("/no/such/program could not be started: No such file"), "{error}");
}

#[test]
fn an_overdue_program_is_ended_with_its_grandchildren() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let took = assert_times_out(r#"sleep 1000 & echo $! > "$0"; sleep 1000"#, &pid_file);
    assert_gone(&pid_file);
    assert!(took >= SHORT, "{took:?}");
}

#[test]
fn a_program_that_ignores_sigterm_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let took = assert_times_out(r#"trap '' TERM; sleep 1000 & echo $! > "$0"; while :; do wait; done"#, &pid_file);
    assert_gone(&pid_file);
    assert!(took >= SHORT + GRACE, "{took:?}");
}

#[test]
fn a_program_has_time_to_clean_up_after_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cleaned");
    assert_times_out(r#"trap 'echo yes > "$0"; exit 0' TERM; while :; do sleep 0.05; done"#, &file);
    assert_eq!(fs::read_to_string(&file).unwrap(), "yes\n");
}

#[test]
fn what_a_program_leaves_in_the_background_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let begun = Instant::now();
    let script = r#"sleep 1000 & echo $! > "$0"; echo '{"status":"pending"}'"#;
    assert_eq!(shell(script, &pid_file, PATIENT).call(&event(), &NEVER).unwrap(), Answer::Pending);
    assert!(begun.elapsed() < PATIENT / 2, "{:?}", begun.elapsed());
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_grandchild_that_left_the_group_and_keeps_the_pipes_holds_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    assert_times_out(r#"setsid sleep 1000 & echo $! > "$0"; wait"#, &pid_file);
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_flood_on_stdout_ends_the_program() {
    let begun = Instant::now();
    assert_eq!(failure_of("yes"), "the answer is longer than 1048576 bytes");
    assert!(begun.elapsed() < PATIENT / 2, "{:?}", begun.elapsed());
    assert_eq!(
        failure_of("head -c 1048577 /dev/zero | tr '\\0' ' '; echo '{}'"),
        "the answer is longer than 1048576 bytes"
    );
    assert_eq!(
        call("echo '{\"status\":\"pending\"}'; head -c 1000000 /dev/zero | tr '\\0' ' '").unwrap(),
        Answer::Pending
    );
}

#[test]
fn a_flood_on_stderr_does_not_block_the_program() {
    let script = r#"yes 'a line of complaints' | head -n 200000 >&2; echo last >&2; exit 4"#;
    assert_eq!(failure_of(script), "exit code 4: last");
    assert_times_out("yes complaint >&2", Path::new("sh"));
}

#[test]
fn a_program_may_close_stdin_without_reading_a_large_event() {
    let parameters = [("large".to_owned(), "x".repeat(4 * 1024 * 1024))].into();
    let large = Event { parameters, ..event() };
    for script in [r#"exec <&-; echo '{"status":"pending"}'"#, r#"echo '{"status":"pending"}'"#] {
        assert_eq!(shell(script, Path::new("sh"), PATIENT).call(&large, &NEVER).unwrap(), Answer::Pending);
    }
    let script =
        r#"bytes=$(wc -c); echo "{\"status\":\"refused\",\"resultCode\":\"000005\",\"message\":\"$((bytes))\"}""#;
    assert_eq!(
        shell(script, Path::new("sh"), PATIENT).call(&large, &NEVER).unwrap(),
        Answer::Refused { result_code: ResultCode::INTERNAL, message: large.to_json().len().to_string() }
    );
}

#[test]
fn a_program_that_closes_its_outputs_and_lingers_still_times_out() {
    assert_times_out("exec >&- 2>&- <&-; sleep 1000", Path::new("sh"));
}

#[test]
fn an_empty_command_is_refused() {
    assert_eq!(CommandApplication::new(&[], PATIENT), Err(CommandSetupError::Empty));
    assert_eq!(CommandApplication::new(&[String::new()], PATIENT), Err(CommandSetupError::Empty));
    assert_eq!(CommandApplication::new(&["a\0b".to_owned()], PATIENT), Err(CommandSetupError::Nul));
}

#[test]
fn a_stop_ends_the_program_at_once_with_all_its_group() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = "sleep 1000 & echo $! > \"$0\"; wait";
    let (pids, application) = (pid_file.clone(), shell(script, &pid_file, PATIENT));
    let stopper = std::thread::spawn(move || {
        while !std::fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n')) {
            std::thread::yield_now();
        }
        STOP.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    assert!(matches!(application.call(&event(), &STOP).unwrap_err(), AttemptError::Stopped));
    stopper.join().unwrap();
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let gone = rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap());
    assert_eq!(gone, Err(rustix::io::Errno::SRCH));
}
