//! What a scenario says.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use sentinel_core::Sentinel;

/// What a scenario says, and whether its expectations were met.
#[derive(Debug)]
pub(super) struct Report {
    is_aloud: bool,
    lines: Vec<String>,
    met: usize,
    missed: usize,
}

impl Report {
    /// A report that is written as it comes.
    pub(super) fn aloud() -> Self {
        Self { is_aloud: true, lines: Vec::new(), met: 0, missed: 0 }
    }

    /// A report that is kept.
    pub(super) fn quiet() -> Self {
        Self { is_aloud: false, ..Self::aloud() }
    }

    /// What is protected, by which rules.
    pub(super) fn scene(&mut self, words: &str, rules: &str) {
        self.add(words.to_owned());
        for line in rules.lines() {
            self.add(format!("    | {line}"));
        }
    }

    /// What is done, or what happened.
    pub(super) fn note(&mut self, words: impl Display) {
        self.add(format!("  {words}"));
    }

    /// What should be so, and whether it is.
    pub(super) fn expect(&mut self, is_met: bool, words: impl Display) {
        let verdict = if is_met { "ok" } else { "NOT SO" };
        *if is_met { &mut self.met } else { &mut self.missed } += 1;
        self.add(format!("  {verdict:6} {words}"));
    }

    /// Expects that every call has ended, and was counted once.
    pub(super) fn expect_rest(&mut self, sentinel: &Sentinel) {
        let snapshot = sentinel.snapshot();
        let left: Vec<String> = (snapshot.resources.iter())
            .filter(|resource| {
                let statistics = &resource.statistics;
                statistics.in_flight > 0 || statistics.totals.complete != statistics.totals.pass
            })
            .map(|resource| format!("{}: {:?}", resource.name, resource.statistics))
            .collect();
        let words = "every call that was admitted has ended, and nothing is in flight";
        self.expect(left.is_empty(), format!("{words}{}{}", if left.is_empty() { "" } else { ": " }, left.join("; ")));
    }

    pub(super) fn is_met(&self) -> bool {
        self.missed == 0 && self.met > 0
    }

    /// What came of the expectations, in a few words.
    pub(super) fn verdict(&self) -> String {
        match self.missed {
            0 => format!("as expected ({} expectations)", self.met),
            missed => format!("NOT AS EXPECTED ({missed} of {} expectations)", self.met + missed),
        }
    }

    /// Writes what was kept.
    pub(super) fn tell_all(&mut self) {
        for line in self.lines.drain(..) {
            write(&line);
        }
    }

    /// Writes a line, whatever is kept.
    pub(super) fn say(&self, line: &str) {
        write(line);
    }

    fn add(&mut self, line: String) {
        if self.is_aloud {
            write(&line);
        } else {
            self.lines.push(line);
        }
    }
}

fn write(line: &str) {
    // What came of it is in the exit code as well, if nobody reads this any more.
    let _ = writeln!(io::stdout(), "{line}");
}
