//! libFuzzer's entry to the target `canonical_json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("canonical_json", data));
