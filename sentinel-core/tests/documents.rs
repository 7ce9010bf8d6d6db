//! Documents in every form, right and wrong, and what becomes of them.
//!
//! `documents/DIALECT/right/FAMILY.NAME.FORMAT` has beside it, with `.rules` behind, our own document that it stands for,
//! and its warnings as comments; `documents/DIALECT/wrong/FAMILY.NAME.FORMAT` has, with `.error` behind, the message. In
//! the folder `detected`, the dialect is left open; where the family is `any`, the family is.
#![cfg(all(feature = "json", feature = "regex", feature = "toml", feature = "yaml"))]

use std::{
    fs,
    path::{Path, PathBuf},
};

use sentinel_core::{Encoding, Format, Parsed, Rules};

/// A document of the collection.
struct Document {
    path: PathBuf,
    encoding: Encoding,
    text: Vec<u8>,
}

impl Document {
    fn new(path: PathBuf, dialect: &str) -> Self {
        let name = path.file_name().unwrap().to_str().unwrap();
        let encoding = match dialect {
            "native" => Encoding::native(Format::from_path(&path).expect("the extension is a format")),
            "go" => Encoding::go(),
            "java" => Encoding::java(),
            "kubernetes" => Encoding::kubernetes(),
            "detected" => Encoding::detected(),
            other => panic!("{other} is no dialect"),
        };
        let encoding = match name.split('.').next() {
            Some("any") => encoding,
            family => encoding.family(family.unwrap()),
        };
        let text = fs::read(&path).unwrap();
        Self { path, encoding, text }
    }

    /// What is written beside it.
    fn beside(&self, what: &str) -> String {
        let path = format!("{}.{what}", self.path.display());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// The documents of a kind in all dialects.
fn all(kind: &str) -> Vec<Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut documents = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        let dialect = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for file in fs::read_dir(folder.join(kind)).unwrap() {
            let path = file.unwrap().path();
            if !["rules", "error"].contains(&path.extension().unwrap().to_str().unwrap()) {
                documents.push(Document::new(path, &dialect));
            }
        }
    }
    documents
}

#[test]
fn what_is_right_is_read_as_the_rules_that_stand_beside_it() {
    let documents = all("right");
    assert!(documents.len() > 30, "the documents are there");
    for document in documents {
        let path = document.path.display();
        let Parsed { rules, warnings, .. } =
            Rules::decode(&document.text, &document.encoding).unwrap_or_else(|error| panic!("{path}: {error}"));
        let expected = document.beside("rules");
        let ours = Rules::parse(expected.as_bytes(), Format::Yaml).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(rules, ours.rules, "{path}");
        let comments: Vec<_> = expected.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, comments, "{path}");
    }
}

#[test]
fn what_is_wrong_is_refused_with_the_message_that_stands_beside_it() {
    let documents = all("wrong");
    assert!(documents.len() > 30, "the documents are there");
    for document in documents {
        let path = document.path.display();
        let error = match Rules::decode(&document.text, &document.encoding) {
            Err(error) => error.to_string(),
            Ok(parsed) => panic!("{path}: {parsed:?}"),
        };
        assert_eq!(error.trim_end(), document.beside("error").trim_end(), "{path}");
    }
}

#[test]
fn what_was_read_from_a_form_can_be_written_in_it_unless_a_warning_says_that_it_means_something_else() {
    for document in all("right") {
        let path = document.path.display();
        let Parsed { rules, warnings, .. } = Rules::decode(&document.text, &document.encoding).unwrap();
        if document.encoding.dialect.is_none() || !warnings.is_empty() || rules.is_empty() {
            continue;
        }
        let text = rules.encode(&document.encoding).unwrap_or_else(|error| panic!("{path}: {error}"));
        let again = Rules::decode(text.as_bytes(), &document.encoding)
            .unwrap_or_else(|error| panic!("{path}: {error}\n{text}"));
        assert_eq!(again.rules, rules, "{path}: {text}");
        assert_eq!(again.warnings, [], "{path}: {text}");
    }
}
