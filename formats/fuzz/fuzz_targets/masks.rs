#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rho_formats_fuzz::try_bytes("masks", bytes));
