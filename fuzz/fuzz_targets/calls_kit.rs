//! libFuzzer's entry to the target `calls_kit`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("calls_kit", data));
