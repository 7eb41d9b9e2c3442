//! The long form: every call of a life in every way, with kill -9 and power cuts in between, and a disk that is really full.

use std::path::Path;
use std::process::Command;

use super::disk::{Which, sweep};
use super::{FIXED, SERVER, Shim, Victim, assert_told_once, shop};
use crate::harness::{KEY, Scratch, eventually, new_instance, text};

#[test]
#[ignore = "long: every call on the disk in every way"]
fn every_call_on_the_disk_may_fail_in_every_way() {
    let all = std::env::var("KOOGATE_TEST_FAULTS").is_ok_and(|which| which == "all");
    let which = if all { Which::All } else { Which::Most };
    let (mut lives, mut starts) = (0, 0);
    for call in [
        "sync -wal",
        "write -wal",
        "read -wal",
        "read /koogate.db",
        "write /koogate.db",
        "map -shm",
        "open /koogate.db",
    ] {
        for fault in ["EIO", "ENOSPC", "EDQUOT", "EROFS", "ENOMEM", "short"] {
            if fault == "short" && !(call.starts_with("write") || call.starts_with("read")) {
                continue;
            }
            for power in [false, true] {
                let (application, scratch) = shop();
                let shim = if power { Shim::with_platter() } else { Shim::new() };
                let mut victim = Victim::start(&scratch, &shim);
                let reached = sweep(&mut victim, call, fault, which);
                (lives, starts) = (lives + victim.sweeps, starts + 1);
                println!("{call} {fault}{}: {reached} places", if power { ", then a power cut" } else { "" });
                victim.die_and_rise(power);
                assert_told_once(&application);
            }
        }
    }
    println!("{lives} lives on {starts} servers, 0 answers lost or changed, 0 servers restarted by hand");
}

/// A file system of a few megabytes, unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path, options: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).status().unwrap();
        assert!(status.success(), "mounting needs root: run this test as root, or leave it out");
        Self(folder)
    }

    fn fill(&self) {
        // As much as there is: the end of it fails.
        let _full = std::fs::File::create(self.0.join("ballast")).and_then(|mut file| {
            let mut zeros = std::io::repeat(0);
            std::io::copy(&mut zeros, &mut file)
        });
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(self.0).status();
    }
}

#[test]
#[ignore = "long: mounts a small file system, which needs root"]
fn a_disk_that_is_really_full_is_over_without_a_restart() {
    let scratch = Scratch::new("");
    let folder = scratch.path("disk");
    let disk = SmallDisk::mount(&folder, "size=40m");
    let sections = format!("{SERVER}[database]\npath = \"disk/koogate.db\"\nsnapshot_every = \"1s\"\n");
    scratch.configure(&[KEY], &sections, FIXED);
    let mut koogate = scratch.serve();
    let (mut sold, mut refused) = (Vec::new(), 0);
    for round in 0..10 {
        for number in 0..5 {
            let body = new_instance(&format!("CS-{round}-before-{number}"));
            let answer = koogate.call_until_success(&body);
            sold.push((body, answer));
        }
        disk.fill();
        // Until the log, which is written over from its beginning at times, has no room either.
        let mut number = 0;
        loop {
            number += 1;
            let body = new_instance(&format!("CS-{round}-{number}"));
            let answer = koogate.call(&body);
            match answer.code().as_str() {
                "000000" => sold.push((body, answer)),
                "000005" => break,
                _ => panic!("{}", text(&answer.body)),
            }
        }
        assert_eq!(koogate.admin("GET", "/readyz", None, "").status, 503);
        refused += 1;
        // In every other round it is killed, or stopped, on the full disk.
        match round % 4 {
            1 => {
                koogate.kill();
                disk.free();
                koogate = scratch.serve();
            }
            3 => {
                koogate.signal("TERM");
                // The log may have found room in the database.
                assert!(matches!(koogate.wait(), Some(0 | 1)), "{}", koogate.log_text());
                disk.free();
                koogate = scratch.serve();
            }
            _ => disk.free(),
        }
        eventually(|| (koogate.admin("GET", "/readyz", None, "").status == 200).then_some(()), || koogate.log_text());
        for (body, answer) in &sold {
            // The log of so many calls may be what fills the disk: until it is moved they are refused.
            assert_eq!(koogate.call_until_success(body).verbatim(), answer.verbatim());
        }
    }
    koogate.stop();
    scratch.run_ok(&["verify", "disk/koogate.db"]);
    println!("{} sales on a disk that was full {refused} times; all of them answered verbatim every time", sold.len());
}
