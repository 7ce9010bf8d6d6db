#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::Format;

fuzz_target!(|bytes: &[u8]| sentinel_kit_fuzz::document(bytes, Format::Yaml));
