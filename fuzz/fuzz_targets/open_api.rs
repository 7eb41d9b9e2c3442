//! libFuzzer's entry to the target `open_api`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("open_api", data));
