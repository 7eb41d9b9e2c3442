//! Login sessions.

use super::*;

fn begin(tx: &Tx<'_>, sid: &str, refresh_token: Option<&str>, expires_at: Timestamp) -> Result<(), StoreError> {
    let token = refresh_token.map(|token| Secret::new(token.to_owned()));
    let new = NewLoginSession {
        sid,
        tenant: tx.tenant_row("t-1", at(0))?,
        app_id: "APP",
        user_name: "zhangsan01",
        refresh_token: token.as_ref(),
        expires_at,
    };
    tx.insert_login_session(&new, at(0)).map(drop)
}

/// Calls every function of `login` that has a statement of its own.
pub(super) fn run_logins(tx: &Tx<'_>) -> Result<(), StoreError> {
    begin(tx, "s", Some("r"), at(60))?;
    tx.login_session("s", at(1))?;
    tx.refresh_token_of("s")?;
    tx.renew_login_session("s", None, at(90), at(2))?;
    tx.drop_refresh_token("s")?;
    tx.end_login_session("s")?;
    tx.purge_login_sessions(at(0), 500).map(drop)
}

#[test]
fn a_session_is_found_until_it_expires_or_ends() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.write(None, |tx| begin(tx, "s-1", None, at(60))).unwrap();
    let found = |second| store.read(|tx| tx.login_session("s-1", at(second))).unwrap();
    let row = found(59).unwrap();
    assert_eq!((row.tenant_id.as_str(), row.user_name.as_str(), row.expires_at), ("t-1", "zhangsan01", at(60)));
    assert!(found(60).is_none());
    assert!(store.write(None, |tx| tx.end_login_session("s-1")).unwrap());
    assert!(!store.write(None, |tx| tx.end_login_session("s-1")).unwrap());
    assert!(found(0).is_none());
}

#[test]
fn the_newest_refresh_token_counts_and_an_old_one_goes_on_where_none_was_given() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let newest = || store.read(|tx| tx.refresh_token_of("s-1")).unwrap().map(|token| token.expose().clone());
    store.write(None, |tx| begin(tx, "s-1", Some("r-1"), at(60))).unwrap();
    assert_eq!(newest().as_deref(), Some("r-1"));
    let renew = |token: Option<&'static str>| {
        let renewed = store.write(None, move |tx| {
            let token = token.map(|token| Secret::new(token.to_owned()));
            tx.renew_login_session("s-1", token.as_ref(), at(90), at(1))
        });
        assert!(renewed.unwrap());
    };
    renew(Some("r-2"));
    renew(None);
    assert_eq!(newest().as_deref(), Some("r-2"));
    assert!(store.read(|tx| tx.login_session("s-1", at(89))).unwrap().is_some());
    store.write(None, |tx| tx.drop_refresh_token("s-1")).unwrap();
    assert_eq!(newest(), None);
    assert!(!store.write(None, |tx| tx.renew_login_session("s-9", None, at(90), at(1))).unwrap());
}

#[test]
fn expired_sessions_are_purged_in_small_steps() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store
        .write(None, |tx| {
            for number in 0..5 {
                begin(tx, &format!("s-{number}"), None, at(number))?;
            }
            Ok(())
        })
        .unwrap();
    let purge = || store.write(None, |tx| tx.purge_login_sessions(at(3), 3)).unwrap();
    assert_eq!([purge(), purge(), purge()], [3, 1, 0]);
    assert_eq!(rows(&store, "login_session"), 1);
}

#[test]
fn a_user_may_use_an_application_when_one_of_its_instances_says_so() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let put = |instance_id: &'static str, enabled: bool, is_revoked: bool| {
        let put = store.write(None, move |tx| {
            let directory = Directory { tenant: tx.tenant_row("t-1", at(0))?, instance_id };
            let details = Secret::new("{}".to_owned());
            let user = NewUser { user_name: "u-1", org_code: None, role: None, enabled, details: &details };
            tx.put_user(directory, "APP", &user, at(0))?;
            if is_revoked { tx.revoke_user(directory, "APP", "u-1", at(1)) } else { Ok(()) }
        });
        put.unwrap();
    };
    let may_use = |tenant_id: &str, app_id: &str, user_name: &str| {
        let tenant = store.read(|tx| tx.tenant(tenant_id)).unwrap().map_or(0, |tenant| tenant.row);
        store.read(|tx| tx.may_use(tenant, app_id, user_name)).unwrap()
    };
    put("i-1", true, true);
    assert_eq!(may_use("t-1", "APP", "u-1"), Some(false), "revoked");
    put("i-2", false, false);
    assert_eq!(may_use("t-1", "APP", "u-1"), Some(false), "revoked here, disabled there");
    for (tenant_id, app_id, user_name) in [("t-2", "APP", "u-1"), ("t-1", "APP-2", "u-1"), ("t-1", "APP", "u-2")] {
        assert_eq!(may_use(tenant_id, app_id, user_name), None);
    }
    put("i-2", true, false);
    assert_eq!(may_use("t-1", "APP", "u-1"), Some(true), "authorised in one");
}
