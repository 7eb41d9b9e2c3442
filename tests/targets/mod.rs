//! What is fuzzed: one function for each reader of bytes that somebody else wrote. It takes any bytes and panics where a
//! property does not hold.
//!
//! Two callers share these functions: `fuzz/`, where libFuzzer looks for inputs by coverage, and the normal tests, which
//! replay the corpus and try bounded numbers of mutations of it (`tests/e2e/fuzzing.rs`).

mod calls;
mod files;
mod json;
mod replies;
mod wire;

/// Takes any bytes and panics where a property does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus and of its program in `fuzz/`.
pub const TARGETS: [(&str, Target); 17] = [
    ("calls_get", calls::get),
    ("calls_kit", calls::kit),
    ("calls_post", calls::post),
    ("canonical_json", json::canonical),
    ("config", files::config),
    ("extend_params", calls::extend_params),
    ("field_cipher", calls::field_cipher),
    ("head", wire::head),
    ("hook_answer", replies::hook_answer),
    ("hosts", wire::hosts),
    ("open_api", replies::open_api),
    ("pem", files::pem),
    ("query", wire::query),
    ("replies", replies::replies),
    ("stock_csv", files::stock_csv),
    ("time", wire::time),
    ("usage", files::usage),
];

/// Runs the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(candidate, _)| *candidate == name);
    target.unwrap_or_else(|| panic!("no target is called {name}")).1(data);
}

/// The bytes as text, if they are.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The input cut at the first byte of this value; the second part is empty without one.
fn split(data: &[u8], at: u8) -> (&[u8], &[u8]) {
    let place = data.iter().position(|&byte| byte == at);
    place.map_or((data, &[]), |place| (&data[..place], &data[place + 1..]))
}
