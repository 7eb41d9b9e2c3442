//! Secret columns.

use super::*;
use crate::license::License;

#[test]
fn no_password_and_no_event_stands_in_the_file_in_the_clear() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store
        .write(None, |tx| {
            let (instance, operation) = create(tx, "CS1")?;
            tx.set_access(&instance, &access("correct-horse"))?;
            tx.insert_stock("accounts", &StockEntry::Account(access("battery-staple")), at(0))?;
            tx.insert_stock("codes", &StockEntry::License(Secret::new("CODE-IN-STOCK".to_owned())), at(0))?;
            let license =
                tx.request_license(&NewLicense { instance: instance.row, operation, request: None }, at(0))?;
            let made = License::file("a.lic", Secret::new(b"LICENCE-CONTENT".to_vec())).unwrap();
            tx.issue_license(license, &made, at(0))?;
            let answer = AnswerBytes { body: b"{\"license\":\"ANSWERED-CODE\"}".to_vec(), body_sign: String::new() };
            tx.insert_answer(operation, "k", &answer, Some(b"{\"license\":\"***\"}"), 1)?;
            let event = "{\"buyer\":\"Zhang San\"}";
            let job = NewJob {
                subject: Subject::Operation { instance: instance.row, operation },
                task: "instance.create",
                order: None,
                event: Some(event),
                change: None,
            };
            tx.insert_job(&job, at(0))?;
            tx.insert_login_session(
                &NewLoginSession {
                    sid: "s-1",
                    tenant: tx.tenant_row("t-1", at(0))?,
                    app_id: "A",
                    user_name: "zhangsan01",
                    refresh_token: Some(&Secret::new("REFRESH-TOKEN".to_owned())),
                    expires_at: at(60),
                },
                at(0),
            )
        })
        .unwrap();
    store.close().unwrap();
    let bytes = std::fs::read(scratch.path("koogate.db")).unwrap();
    for secret in [
        "correct-horse",
        "battery-staple",
        "Zhang San",
        "CODE-IN-STOCK",
        "LICENCE-CONTENT",
        "ANSWERED-CODE",
        "REFRESH-TOKEN",
    ] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let store = scratch.open();
    let found = store.read(|tx| tx.access_of(&tx.instance_by_row(1)?.unwrap())).unwrap().unwrap();
    assert_eq!(found, access("correct-horse"));
    let identity = Identity::new(Environment::Real, Kind::Saas, "create", ["CS1"]);
    let answer = store.read(|tx| tx.operation_of(&identity, "k")).unwrap().unwrap().answer.unwrap();
    assert_eq!(answer.body, b"{\"license\":\"ANSWERED-CODE\"}");
}

#[test]
fn a_sealed_column_cannot_be_moved_to_another_row_or_column() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let tamper = |sql: &'static str| {
        store.write(None, move |tx| tx.execute("tamper", sql, [])).unwrap();
        store.read(|tx| tx.access_of(&tx.instance_by_row(2)?.unwrap()))
    };
    store
        .write(None, |tx| {
            for order in ["CS1", "CS2"] {
                let (instance, _) = create(tx, order)?;
                tx.set_access(&instance, &access(order))?;
            }
            Ok(())
        })
        .unwrap();
    for sql in [
        "UPDATE instance SET password_sealed = (SELECT password_sealed FROM instance WHERE id = 1) WHERE id = 2",
        "UPDATE instance SET password_sealed = user_name_sealed WHERE id = 2",
    ] {
        assert!(matches!(tamper(sql), Err(StoreError::Seal(_))), "{sql}");
    }
}

#[test]
fn another_sealing_key_is_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    scratch.open().close().unwrap();
    let before = std::fs::read(scratch.path("koogate.db")).unwrap();
    let refused = Store::open(&scratch.settings(), Role::Server, key(2)).err();
    assert!(matches!(refused, Some(OpenError::WrongSealingKey { .. })), "{refused:?}");
    assert_eq!(std::fs::read(scratch.path("koogate.db")).unwrap(), before);
}
