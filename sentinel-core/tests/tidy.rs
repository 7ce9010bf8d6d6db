//! Invariants of the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("the source is there") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                collect(&path, into);
            } else {
                let text = fs::read_to_string(&path).expect("the source is text");
                into.push((path, text));
            }
        }
    }
    let mut all = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    assert!(all.len() > 20, "the walk found the source");
    all
}

fn is_test(path: &Path) -> bool {
    ["tests.rs", "models.rs", "shuttled.rs", "laws.rs"].iter().any(|name| path.ends_with(name))
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// Lines of code outside of unit tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") || line.ends_with(';'))
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
}

#[test]
fn atomics_live_in_sync() {
    for (path, text) in sources() {
        if path.to_string_lossy().contains("/src/sync") || is_test(&path) {
            continue;
        }
        for line in code(&text) {
            let atomic = ["sync::atomic", "sync::primitive", "Ordering::Relaxed", "Ordering::Acquire"];
            assert!(!atomic.iter().any(|word| line.contains(word)), "{}: {line}", path.display());
        }
    }
}

#[test]
fn there_is_no_static_but_the_numbers_of_threads() {
    for (path, text) in sources() {
        if path.ends_with("sync/threads.rs") || is_test(&path) {
            continue;
        }
        let mut inside_thread_local = false;
        for line in code(&text) {
            inside_thread_local |= line.contains("thread_local!");
            let starts = line.starts_with("static ")
                || line.starts_with("pub static ")
                || line.starts_with("pub(crate) static ");
            assert!(!starts || inside_thread_local, "{}: {line}", path.display());
            if line == "}" {
                inside_thread_local = false;
            }
        }
    }
}

#[test]
fn every_file_of_sync_says_why_it_is_correct() {
    for (path, text) in sources() {
        let text_path = path.to_string_lossy().into_owned();
        let in_sync = text_path.contains("/src/sync/") && !is_test(&path) && !path.ends_with("primitive.rs");
        if in_sync && text.contains("Ordering::") {
            assert!(text.contains("# Why this is correct"), "{text_path}");
        }
    }
}

#[test]
fn the_words_are_the_same_everywhere() {
    for (path, text) in sources() {
        for line in text.lines() {
            for word in ["TODO", "FIXME", "XXX", "HACK", "todo!(", "unimplemented!("] {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
}
