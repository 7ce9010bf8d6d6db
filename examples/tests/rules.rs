//! The rule files of this folder.

use std::{fs, path::Path};

use sentinel_core::{Format, Rules, Sentinel};

#[test]
fn every_rule_file_is_valid_and_nothing_in_it_is_odd() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let format = Format::from_path(&path).expect("the extension says a format");
        let parsed = Rules::parse(&fs::read(&path).unwrap(), format).unwrap();
        assert_eq!(parsed.warnings, [], "{}", path.display());
        assert!(!parsed.rules.is_empty(), "{}", path.display());
        Sentinel::default().rules().replace("test", parsed.rules).unwrap();
        files += 1;
    }
    assert_eq!(files, 4);
}
