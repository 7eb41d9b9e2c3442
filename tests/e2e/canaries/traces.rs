//! What is left of keys in places other than files: core dumps, and the key of the certificate.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::harness::Scratch;
use crate::shop::FIXED;

/// Ended by a signal that leaves a core dump, where the system and the limits allow one.
fn leaves_core(mut command: Command) -> bool {
    command.status().unwrap().core_dumped()
}

#[test]
fn a_server_that_breaks_leaves_no_core_dump() {
    let scratch = Scratch::new(FIXED);
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        let script = format!("ulimit -c unlimited 2>/dev/null; {script}");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_koogate")]).current_dir(scratch.path(""));
        command.stderr(std::process::Stdio::null());
        command
    };
    // The shell becomes koogate; another one ends it as a crash would, once it is ready.
    let server =
        "(while kill -0 $$ && ! [ -e koogate.db-wal ]; do sleep 0.05; done; kill -ABRT $$) & exec \"$0\" serve";
    assert!(!leaves_core(shell(server)), "a core dump holds every key");
    if !leaves_core(shell("kill -ABRT $$")) {
        eprintln!("this system lets nobody leave a core dump, so this test has shown nothing");
    }
}
