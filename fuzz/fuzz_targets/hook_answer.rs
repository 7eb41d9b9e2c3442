//! libFuzzer's entry to the target `hook_answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("hook_answer", data));
