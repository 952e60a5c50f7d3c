#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flota_tests::properties::envelope(bytes));
