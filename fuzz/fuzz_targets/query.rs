//! libFuzzer's entry to the target `query`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("query", data));
