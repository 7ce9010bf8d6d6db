#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::Encoding;

fuzz_target!(|bytes: &[u8]| sentinel_kit_fuzz::document_of_others(bytes, Encoding::kubernetes()));
