//! libFuzzer's entry to the target `calls_get`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("calls_get", data));
