//! kill -9 between taking, sending and settling: every record arrives under its number and is billed once.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::harness::send;
use crate::koogallery::Judgement;

const SMALL_BATCHES: &str = "usage_batch_size = 5";

#[test]
fn a_death_after_the_call_and_before_its_record_bills_nothing_twice() {
    // What was sent is sent again: 5 records, once.
    die_at("usage-sent", 5);
}

#[test]
fn a_death_after_the_record_sends_nothing_again() {
    die_at("usage-settled", 0);
}

/// Dies at the first passage of a point and at a later one, and goes on without the fault.
fn die_at(point: &str, sent_again: usize) {
    for (passage, repeat) in [(1, Some("005")), (3, Some("010")), (5, None)] {
        let Scene { shop: Shop { koogate, application, scratch }, mock, used } = Scene::open(SMALL_BATCHES);
        mock.judge_usage(Judgement { repeat, ..Judgement::default() });
        koogate.stop();
        let mut file = "instance_id,begin_time,end_time,usage_value\n".to_owned();
        for report in minutes(&used, 22) {
            let text = |name: &str| report[name].as_str().unwrap().to_owned();
            file.push_str(&format!("{used},{},{},1.5\n", text("beginTime"), text("endTime")));
        }
        std::fs::write(scratch.path("usage.csv"), file).unwrap();
        scratch.run_ok(&["usage", "record", "--csv", "usage.csv"]);
        let mut doomed = scratch.serve_with(&[("KOOGATE_FAULT", &format!("{point}:{passage}"))]);
        assert_eq!(doomed.wait(), None, "{point}:{passage}: {}", doomed.log_text());
        let scene = Scene { shop: Shop { koogate: scratch.serve(), application, scratch }, mock, used };
        scene.settled();
        let listed = scene.shop.scratch.run_json(&["usage", "list", "--accepted", "--json"]);
        let numbers: Vec<_> = listed.iter().map(|record| record["meteringSn"].as_str().unwrap().to_owned()).collect();
        assert_eq!(numbers.len(), 22, "{point}:{passage}");
        assert_billed_once(&scene.mock, &numbers);
        assert_eq!(scene.mock.billed(&scene.used), 22 * 15_000, "{point}:{passage}");
        let again = scene.mock.records().iter().filter(|record| record.arrivals > 1).count();
        // The last batch of the 22 has two.
        assert_eq!(again, if passage == 5 { sent_again.min(2) } else { sent_again }, "{point}:{passage}");
    }
}

#[test]
fn deaths_at_random_instants_neither_lose_usage_nor_bill_it_twice() {
    const LIVES: u64 = 5;
    let Scene { shop: Shop { koogate, application, scratch }, mock, used } = Scene::open(SMALL_BATCHES);
    let mut server = Some(koogate);
    let all = minutes(&used, 800);
    let (mut reports, numbers) = (all.chunks(20), Mutex::new(Vec::new()));
    for _ in 0..LIVES {
        let before = mock.count(Route::UsageData);
        let admin = server.as_ref().unwrap().admin.unwrap();
        std::thread::scope(|scope| {
            // Reports go on while the server is killed; what was not answered is reported again to the next one.
            let part: Vec<_> = reports.by_ref().take(8).collect();
            let reporter = scope
                .spawn(move || part.into_iter().map(|records| (records, post(admin, records))).collect::<Vec<_>>());
            eventually(
                || (mock.count(Route::UsageData) > before + 2).then_some(()),
                || format!("nothing is pushed:\n{}", server.as_ref().unwrap().log_text()),
            );
            let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
            std::thread::sleep(Duration::from_millis(random % 40));
            server.take().unwrap().kill();
            let next = server.insert(scratch.serve());
            for (records, answered) in reporter.join().unwrap() {
                let again = post(next.admin.unwrap(), records).expect("a server that lives");
                // What was answered is there, under its number.
                assert!(answered.is_none_or(|answered| answered == again));
                numbers.lock().unwrap().extend(again);
            }
        });
    }
    let scene = Scene { shop: Shop { koogate: server.unwrap(), application, scratch }, mock, used };
    scene.settled();
    let numbers = numbers.into_inner().unwrap();
    assert_eq!(numbers.len(), 5 * 8 * 20);
    assert_billed_once(&scene.mock, &numbers);
    assert_eq!((scene.count("accepted"), scene.count("rejected")), (800, 0));
    assert_eq!(scene.mock.billed(&scene.used), 800 * 15_000);
}

/// Reports; the numbers, if there was an answer.
fn post(admin: SocketAddr, records: &[Value]) -> Option<Vec<String>> {
    let (bearer, body) = (format!("Bearer {TOKEN}"), json!({ "records": records }).to_string());
    let answer = send(admin, "POST", "/api/v1/usage", &[("Authorization", &bearer)], body.as_bytes()).ok()?;
    let numbers = answer.json()["records"].as_array().unwrap().clone();
    Some(numbers.iter().map(|entry| entry["meteringSn"].as_str().unwrap().to_owned()).collect())
}
