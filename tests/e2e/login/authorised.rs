//! Whom the kit's calls have told: an authorisation that was taken, or a disabled account, opens nothing.

use koogate::store::{Directory, NewUser};

use super::session::{check_problem, refresh, session};
use super::*;

/// What is told of the user of all tests under an instance.
#[derive(Clone, Copy)]
enum Told {
    Authorised,
    Revoked,
    Disabled,
    Removed,
}

/// Tells it of an application, while no server runs.
fn tell_of(scratch: &Scratch, app_id: &'static str, instance_id: &'static str, told: Told) {
    write(scratch, move |tx| {
        let directory = Directory { tenant: tx.tenant_row("t-1", Timestamp::now())?, instance_id };
        let (user_name, details) = ("zhangsan01", Secret::new("{}".to_owned()));
        let enabled = !matches!(told, Told::Disabled);
        let user = NewUser { user_name, org_code: None, role: None, enabled, details: &details };
        tx.put_user(directory, app_id, &user, Timestamp::now())?;
        match told {
            Told::Authorised | Told::Disabled => Ok(()),
            Told::Revoked => tx.revoke_user(directory, app_id, user_name, Timestamp::now()),
            Told::Removed => tx.remove_user(directory, app_id, user_name),
        }
    });
}

fn tell(scratch: &Scratch, instance_id: &'static str, told: Told) {
    tell_of(scratch, APP_ID, instance_id, told);
}

/// A login with all of it told.
fn login_when(told: &[(&'static str, Told)]) -> (Answer, i64, String) {
    let centre = Centre::good();
    let scratch = scratch();
    know_tenant(&scratch, "t-1", &centre.domain_name(), Some(APP_ID));
    told.iter().for_each(|(instance_id, told)| tell(&scratch, instance_id, *told));
    let koogate = scratch.serve();
    let answer = Browser::default().log_in(&koogate, "t-1", "c");
    (answer, count(&scratch, "login_session"), koogate.stop())
}

#[track_caller]
fn check_refused(told: &[(&'static str, Told)]) {
    let (answer, sessions, log) = login_when(told);
    let reference = check_page(&answer, 403, "Your account is not authorised for this application");
    let page = text(&answer.body);
    assert!(page.contains("您的账号未获授权使用此应用") && page.contains("administrator"), "{page}");
    assert!(log.contains(&reference) && !log.contains("zhangsan01"), "{log}");
    assert_eq!(sessions, 0);
}

#[track_caller]
fn check_handed_over(told: &[(&'static str, Told)]) {
    let (answer, sessions, _) = login_when(told);
    assert_eq!((handed_over(&answer)["userName"].as_str(), sessions), (Some("zhangsan01"), 1));
}

#[test]
fn a_user_whose_authorisation_was_taken_is_not_handed_over() {
    check_refused(&[("i-1", Told::Revoked)]);
}

#[test]
fn a_user_who_was_disabled_is_not_handed_over() {
    check_refused(&[("i-1", Told::Disabled)]);
    check_refused(&[("i-1", Told::Disabled), ("i-2", Told::Revoked)]);
}

#[test]
fn a_user_who_is_authorised_in_one_instance_is_handed_over() {
    check_handed_over(&[("i-1", Told::Authorised), ("i-2", Told::Revoked)]);
    check_handed_over(&[("i-1", Told::Disabled), ("i-2", Told::Authorised)]);
}

#[test]
fn a_user_who_was_removed_is_unknown_and_handed_over() {
    check_handed_over(&[("i-1", Told::Removed)]);
}

#[test]
fn what_is_told_of_another_application_counts_for_nothing() {
    let centre = Centre::good();
    let scratch = scratch();
    know_tenant(&scratch, "t-1", &centre.domain_name(), Some(APP_ID));
    tell_of(&scratch, "ANOTHER-APP", "i-1", Told::Revoked);
    session(&scratch.serve());
}

#[test]
fn a_refresh_ends_the_session_of_a_user_whose_authorisation_was_taken() {
    let centre = Centre::good();
    let (koogate, scratch) = open(&centre);
    let sid = session(&koogate);
    assert_eq!(refresh(&koogate, &sid).status, 200);
    let asked = centre.seen().len();
    koogate.stop();
    tell(&scratch, "i-1", Told::Revoked);
    let koogate = scratch.serve();
    check_problem(&refresh(&koogate, &sid), 409, "not-authorised");
    assert_eq!((centre.seen().len(), count(&scratch, "login_session")), (asked, 0), "nobody is asked");
    check_problem(&refresh(&koogate, &sid), 404, "no-session");
}
