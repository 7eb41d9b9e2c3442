//! libFuzzer's entry to the target `usage`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("usage", data));
