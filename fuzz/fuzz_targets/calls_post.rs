//! libFuzzer's entry to the target `calls_post`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("calls_post", data));
