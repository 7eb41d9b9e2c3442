//! libFuzzer's entry to the target `pem`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("pem", data));
