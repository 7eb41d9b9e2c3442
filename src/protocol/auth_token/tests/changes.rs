//! Property tests: what may change in a genuine query string and what may not.

use std::collections::BTreeMap;

use super::*;

/// What many encoders leave as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

type Pairs = Vec<(String, String)>;

/// Any pairs, each name once; the time stamp is to be added.
fn pairs() -> impl Strategy<Value = Pairs> {
    let name = prop_oneof!["[A-Za-z]{1,6}", any::<String>(), Just("mobilePhone".to_owned()), Just("email".to_owned())];
    let value = prop_oneof![any::<String>(), "[ +/=&%A-Za-z0-9]{0,12}", Just(String::new())];
    let is_free = |name: &str| !matches!(name, AUTH_TOKEN | TIME_STAMP);
    proptest::collection::btree_map(name, value, 1..8)
        .prop_map(move |pairs| pairs.into_iter().filter(|(name, _)| is_free(name)).collect())
}

/// Pairs that nobody could leave out, repair or cut up differently.
fn plain_pairs() -> impl Strategy<Value = Pairs> {
    proptest::collection::btree_map("[A-Za-z]{1,4}", "[^&=\\s][^&=]{0,8}", 1..8)
        .prop_map(|pairs| pairs.into_iter().collect())
}

/// One way to change a genuine request. Positions are taken modulo the number of pairs.
#[derive(Clone, Debug)]
enum Change {
    Value(usize, String),
    Name(usize, String),
    Remove(usize),
    Add(String, String),
    Token(usize, String),
    Key(String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), "[^&=]{0,8}").prop_map(|(at, text)| Change::Value(at, text)),
        (any::<usize>(), "[^&=]{0,4}|timeStamp|authToken").prop_map(|(at, text)| Change::Name(at, text)),
        any::<usize>().prop_map(Change::Remove),
        ("[A-Za-z]{1,4}", "[^&=\\s]{1,8}").prop_map(|(name, value)| Change::Add(name, value)),
        (0_usize..42, "[A-Za-z0-9+/]").prop_map(|(at, text)| Change::Token(at, text)),
        "[a-z0-9]{1,40}".prop_map(Change::Key),
    ]
}

fn borrowed(pairs: &Pairs) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The parameters as whoever reads them sees them: the first of a name.
fn meaning(pairs: &Pairs) -> BTreeMap<&str, &str> {
    borrowed(pairs).into_iter().rev().filter(|(name, _)| *name != AUTH_TOKEN).collect()
}

/// The piece `name=value` in one of two styles: as terse as form encoding may be, or everything encoded.
fn piece(name: &str, value: &str, is_terse: bool) -> String {
    if is_terse {
        let form = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string().replace("%20", "+");
        format!("{}={}", form(name), form(value))
    } else {
        let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        format!("{}={}", escape(name), escape(value))
    }
}

proptest! {
    #[test]
    fn no_raw_query_verifies_by_accident_or_panics(
        raw in prop_oneof![any::<String>(), "([a-zA-Z]{0,3}[=&%+]|authToken=|timeStamp=|%[0-9A-F]{2}){0,30}"],
        token in "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=",
    ) {
        let keys = [key("k")];
        prop_assert!(verdict(&keys, &raw).is_err());
        let stamped = format!("timeStamp={TIME_STAMP_OF_NOW}&authToken={}&{raw}", encode(&token));
        prop_assert!(verdict_within(&keys, &stamped, Some(1)).is_err());
        let with_any_token = format!("timeStamp=1&authToken={raw}");
        prop_assert!(verdict(&keys, &with_any_token).is_err());
        let with_any_stamp = format!("authToken={token}&timeStamp={raw}");
        prop_assert!(verdict_within(&keys, &with_any_stamp, Some(1)).is_err());
    }

    #[test]
    fn no_received_token_panics(token in "[ +=A-Za云]{0,60}") {
        let _ = tag(&token);
    }

    #[test]
    fn neither_order_nor_encoding_nor_later_values_of_a_name_change_the_verdict(
        mut pairs in pairs(),
        seeds in proptest::collection::vec(any::<(u32, bool)>(), 10),
    ) {
        let keys = [key("other"), key("k")];
        pairs.push((TIME_STAMP.to_owned(), TIME_STAMP_OF_NOW.to_owned()));
        pairs.push((AUTH_TOKEN.to_owned(), sign(&keys[1], &borrowed(&pairs)).unwrap()));
        let mut shuffled: Vec<_> = pairs.iter().zip(&seeds).collect();
        shuffled.sort_by_key(|(_, (position, _))| *position);
        let mut pieces: Vec<_> =
            shuffled.into_iter().map(|((name, value), (_, is_terse))| piece(name, value, *is_terse)).collect();
        prop_assert_eq!(verdict(&keys, &pieces.join("&")), Ok("k".to_owned()));
        pieces.extend(pieces.clone().iter().map(|piece| format!("{piece}x")));
        prop_assert_eq!(verdict(&keys, &pieces.join("&")), Ok("k".to_owned()));
    }

    #[test]
    fn any_other_change_fits_no_key(genuine in plain_pairs(), stamp_at in any::<usize>(), change in change()) {
        let mut genuine = genuine;
        genuine.insert(stamp_at % genuine.len(), (TIME_STAMP.to_owned(), TIME_STAMP_OF_NOW.to_owned()));
        let genuine_token = sign(&key("k"), &borrowed(&genuine)).unwrap();
        let (mut pairs, mut token, mut secret) = (genuine.clone(), genuine_token.clone(), "k".to_owned());
        let count = pairs.len();
        match change {
            Change::Value(at, text) => pairs[at % count].1 = text,
            Change::Name(at, text) => pairs[at % count].0 = text,
            Change::Remove(at) => drop(pairs.remove(at % count)),
            Change::Add(name, value) => pairs.insert(0, (name, value)),
            Change::Token(at, text) => token.replace_range(at..=at, &text),
            Change::Key(text) => secret = text,
        }
        prop_assume!(meaning(&pairs) != meaning(&genuine) || token != genuine_token || secret != "k");
        let expected = match meaning(&pairs).get(TIME_STAMP) {
            None | Some(&"") => SignatureRefusal::MissingTimeStamp,
            Some(_) => SignatureRefusal::NoKeyMatches,
        };
        let raw = format!("authToken={}&{}", encode(&token), raw_query(&borrowed(&pairs)));
        prop_assert_eq!(verdict(&[key(&secret)], &raw), Err(expected));
    }
}

#[test]
fn a_changed_time_stamp_fits_no_key_even_where_key_and_stamp_join_to_the_same_text() {
    let token = sign(&key("k1"), &[(TIME_STAMP, "23")]).unwrap();
    let check = |secret: &str, time_stamp: &str, expected: Result<String, SignatureRefusal>| {
        let raw = format!("timeStamp={time_stamp}&authToken={}", encode(&token));
        assert_eq!(verdict(&[key(secret)], &raw), expected, "{secret} {time_stamp}");
    };
    check("k1", "23", Ok("k1".to_owned()));
    check("k12", "3", Err(SignatureRefusal::NoKeyMatches));
    check("k1", "24", Err(SignatureRefusal::NoKeyMatches));
    check("k1", "23%00", Err(SignatureRefusal::NoKeyMatches));
}

#[test]
fn the_changes_that_candidates_allow_still_verify() {
    let keys = [key("k")];
    let token = encode(&sign(&keys[0], &[("email", "a+b"), (TIME_STAMP, "1")]).unwrap());
    for raw in ["email=a%2Bb&timeStamp=1", "email=a+b&timeStamp=1", "email=a%20b&timeStamp=1&x=&y=+"] {
        assert_eq!(verdict(&keys, &format!("{raw}&authToken={token}")), Ok("k".to_owned()), "{raw}");
    }
}
