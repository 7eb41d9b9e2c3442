//! libFuzzer's entry to the target `extend_params`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("extend_params", data));
