//! libFuzzer's entry to the target `field_cipher`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("field_cipher", data));
