//! The rehearsal before going live: the way to the production address, every debugging case of all that is sold, and what a
//! restart leaves behind. Only debugging calls are made (`testFlag` 1), so that nothing real is touched.
//!
//! How the server is restarted is the caller's matter.

use std::time::{Duration, Instant};

use super::cases::{self, rehearsal as special};
use super::stage::pause;
use super::{CaseReport, Options, Outcome, Player, Report, Target};
use crate::protocol::reply_checks::Finding;

/// A server may take so long to answer again after a restart.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// The interfaces of one access key.
pub struct Part<'r> {
    /// A short name, such as `v2`.
    pub name: &'static str,
    /// A heading for people.
    pub title: &'static str,
    /// The server, and the key.
    pub target: Target,
    /// Which of them; `real` is overruled.
    pub options: Options<'r>,
}

/// What became of the restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It has been restarted, or so the operator says.
    Done,
    /// Nobody could be asked; why.
    NotAsked(String),
    /// It was tried and did not work; why.
    Failed(String),
}

/// What was found in one part.
#[derive(Clone, Debug)]
pub struct PartReport {
    /// Its name.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Its cases.
    pub report: Report,
}

/// Plays all parts, with one restart near the end. `progress` is given each case as soon as it is known, with its part.
pub fn run(
    parts: &[Part<'_>],
    restart: &mut dyn FnMut() -> Restart,
    progress: &mut dyn FnMut(&'static str, &CaseReport),
) -> Vec<PartReport> {
    let Some(first) = parts.first() else { return Vec::new() };
    let tested: Vec<Options<'_>> = parts.iter().map(|part| Options { real: false, ..part.options }).collect();
    let mut way = Player::new(&first.target, &tested[0]);
    way.play(&special::way(), &mut |case| progress("way", case));
    let is_dead = way.world.gave_up();
    let mut players: Vec<_> =
        parts.iter().zip(&tested).map(|(part, options)| Player::new(&part.target, options)).collect();
    for (player, part) in players.iter_mut().zip(parts) {
        player.world.is_dead = is_dead;
        let progress = &mut |case: &CaseReport| progress(part.name, case);
        player.play(&cases::all(player.options), progress);
        player.play(&special::large(player.options), progress);
        player.play(&special::before_restart(player.options), progress);
    }
    let mut around = Player::new(&first.target, &tested[0]);
    let case = restarted(&first.target, is_dead, restart);
    // Where there was no restart, what comes after one says nothing.
    let is_done = case.outcome == Outcome::Passed;
    around.add(case, &mut |case| progress("restart", case));
    if is_done {
        for (player, part) in players.iter_mut().zip(parts) {
            player.play(&special::after_restart(player.options), &mut |case| progress(part.name, case));
        }
    }
    let mut reports = vec![PartReport { name: "way", title: "the way there 生产地址", report: way.report }];
    reports.extend(players.into_iter().zip(parts).map(|(player, part)| PartReport {
        name: part.name,
        title: part.title,
        report: player.report,
    }));
    reports.push(PartReport { name: "restart", title: "a restart in between 重启", report: around.report });
    reports
}

fn restarted(target: &Target, is_dead: bool, restart: &mut dyn FnMut() -> Restart) -> CaseReport {
    let started = Instant::now();
    let mut findings = Vec::new();
    let outcome = if is_dead {
        Outcome::Skipped
    } else {
        match restart() {
            Restart::Done => match is_back(target) {
                true => Outcome::Passed,
                false => {
                    let seconds = BACK_WITHIN.as_secs();
                    let text =
                        format!("it does not answer within {seconds} s after the restart: what does its log say?");
                    findings.push(Finding::fail("restart", text));
                    Outcome::Failed
                }
            },
            Restart::NotAsked(why) => {
                let text = format!("not rehearsed: {why}; what a restart forgets was not looked for");
                findings.push(Finding::warn("restart", text));
                Outcome::Warned
            }
            Restart::Failed(why) => {
                findings.push(Finding::fail("restart", why));
                Outcome::Failed
            }
        }
    };
    CaseReport { name: "restart", title: "重启服务", outcome, findings, elapsed: started.elapsed() }
}

/// Waits until the address answers whatever it answers; a proxy in front says 502 meanwhile.
fn is_back(target: &Target) -> bool {
    let deadline = Instant::now() + BACK_WITHIN;
    for attempt in 0.. {
        if target.client.ask("GET", None).is_ok_and(|answer| !matches!(answer.status, 502..=504)) {
            return true;
        }
        if !pause(attempt, deadline) {
            break;
        }
    }
    false
}

/// Whether KooGallery would accept the server in every part.
pub fn is_success(parts: &[PartReport]) -> bool {
    !parts.is_empty() && parts.iter().all(|part| part.report.is_success())
}
