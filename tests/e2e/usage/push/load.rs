//! Many records after an outage. The figures of docs/usage.md are of the ignored test here; its command stands there.

use std::time::Instant;

use super::*;
use crate::harness::Koogate;

/// Reports in one request, minutes of one instance, and records in one call.
const IN_A_REQUEST: i64 = 1000;
const OF_AN_INSTANCE: i64 = 4000;
const IN_A_CALL: i64 = 100;

#[test]
fn after_an_outage_twenty_thousand_records_arrive_once_in_two_hundred_calls() {
    pile_up(20_000);
}

#[test]
#[ignore = "minutes; docs/usage.md has its figures"]
fn after_an_outage_a_hundred_thousand_records_arrive_once_in_a_thousand_calls() {
    pile_up(100_000);
}

fn pile_up(count: i64) {
    let scene = Scene::at(KooGallery::down(), "");
    let mut instances = vec![scene.used.clone()];
    instances.extend((2..=count / OF_AN_INSTANCE).map(|order| buy(&scene.shop, &scene.mock, &format!("CS{order}"))));
    age(&scene.shop);
    let before = Memory::of(&scene.shop.koogate);
    let begun = Instant::now();
    let mut recorded = 0;
    for instance in &instances {
        for part in minutes(instance, OF_AN_INSTANCE).chunks(usize::try_from(IN_A_REQUEST).unwrap()) {
            recorded += scene.report_all(part).len() as i64;
        }
    }
    assert_eq!((recorded, scene.count("waiting")), (count, count));
    let (reported, piled) = (begun.elapsed(), Memory::of(&scene.shop.koogate));
    let begun = Instant::now();
    scene.mock.come_up();
    // As long as it goes on, however slow the machine is.
    let mut waiting = count;
    while waiting > 0 {
        let fewer = || Some(scene.count("waiting")).filter(|now| *now < waiting);
        waiting = eventually(fewer, || format!("{waiting} wait\n{}", scene.shop.koogate.log_text()));
    }
    let (pushed, after) = (begun.elapsed(), Memory::of(&scene.shop.koogate));
    println!(
        "{count} records: reported in {reported:.1?}, pushed in {pushed:.1?}; resident {before:?} before, {piled:?} with \
         all of them waiting, {after:?} at the end"
    );
    assert_eq!(i64::try_from(scene.calls()).unwrap(), count / IN_A_CALL);
    assert_eq!(scene.mock.refusals(), Vec::<String>::new());
    let records = scene.mock.records();
    assert_eq!(i64::try_from(records.len()).unwrap(), count);
    assert!(records.iter().all(|record| record.taken && record.arrivals == 1));
    for instance in &instances {
        assert_eq!(scene.mock.billed(instance), OF_AN_INSTANCE * 15_000);
        assert_eq!(told(&scene.shop, instance)[0]["usageValue"].to_string(), (OF_AN_INSTANCE * 3 / 2).to_string());
    }
    assert_eq!(scene.count("accepted"), count);
    assert!(after.highest < 64 << 10, "{after:?}");
}

/// What a process takes, in KiB.
#[derive(Debug)]
struct Memory {
    highest: u64,
    #[allow(dead_code, reason = "printed")]
    now: u64,
}

impl Memory {
    fn of(koogate: &Koogate) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", koogate.pid())).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        Self { highest: value("VmHWM:"), now: value("VmRSS:") }
    }
}
