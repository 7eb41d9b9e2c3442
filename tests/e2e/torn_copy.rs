//! A copy of the live database file alone is never taken for a backup.

use crate::harness::{Application, Scratch, new_instance, text};

#[test]
fn a_copy_of_the_live_file_without_its_wal_is_no_backup() {
    let application = Application::ready();
    let scratch = Scratch::new(&application.product(""));
    let koogate = scratch.serve();
    assert_eq!(koogate.call(&new_instance("CS1")).code(), "000000");
    // Wrong, and what everybody does first.
    std::fs::copy(scratch.path("koogate.db"), scratch.path("copy.db")).unwrap();
    koogate.stop();

    for command in ["verify", "restore"] {
        let output = scratch.run(&[command, "copy.db"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {told}");
        assert!(told.contains("may be missing; the file to copy is koogate.snapshot.db"), "{command}: {told}");
    }
    assert_eq!(scratch.run_json(&["instance", "list", "--json"]).len(), 1, "nothing was restored");
    scratch.run_ok(&["verify", "koogate.snapshot.db"]);
}
