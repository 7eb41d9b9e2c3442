//! libFuzzer's entry to the target `stock_csv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| koogate_fuzz::run("stock_csv", data));
