//! Lines of the table.

/// One figure.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    target: Option<Target>,
    note: String,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, target: None, note: String::new() }
    }

    /// A line for what there is no figure of.
    pub(crate) fn missing(name: impl Into<String>, note: &str) -> Self {
        Self::new(name, f64::NAN, "").note(note)
    }

    #[must_use]
    pub(crate) fn at_most(mut self, limit: f64) -> Self {
        self.target = Some(Target::AtMost(limit));
        self
    }

    #[must_use]
    pub(crate) fn at_least(mut self, limit: f64) -> Self {
        self.target = Some(Target::AtLeast(limit));
        self
    }

    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Whether the target is met, if there is one.
    fn met(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtMost(limit) => self.value <= limit,
            Target::AtLeast(limit) => self.value >= limit,
        })
    }

    fn verdict(&self) -> &'static str {
        match self.met() {
            Some(true) => "ok",
            Some(false) => "short",
            None => "-",
        }
    }

    fn target(&self) -> String {
        match self.target {
            Some(Target::AtMost(limit)) => format!("<= {}", figure(limit)),
            Some(Target::AtLeast(limit)) => format!(">= {}", figure(limit)),
            None => "-".to_owned(),
        }
    }
}

/// Prints rows as they come.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    part: &'static str,
    met: usize,
    short: Vec<String>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, part: "", met: 0, short: Vec::new() }
    }

    /// Begins a part.
    pub(crate) fn part(&mut self, name: &'static str) {
        self.part = name;
        if !self.json {
            println!("\n{:<68} {:>10} {:<12} {:>10}", format!("# {name}"), "value", "unit", "target");
        }
    }

    /// Prints something that is no figure.
    pub(crate) fn say(&self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        match row.met() {
            Some(true) => self.met += 1,
            Some(false) => self.short.push(row.name.clone()),
            None => {}
        }
        if self.json {
            let target = row.target.map(|_| row.target());
            let line = serde_json::json!({
                "part": self.part, "name": row.name, "value": row.value, "unit": row.unit,
                "target": target, "verdict": row.verdict(), "note": row.note,
            });
            println!("{line}");
        } else {
            let note = if row.note.is_empty() { String::new() } else { format!("  ({})", row.note) };
            let (value, target, verdict) = (figure(row.value), row.target(), row.verdict());
            println!("{:<68} {value:>10} {:<12} {target:>10}  {verdict:<5}{note}", row.name, row.unit);
        }
    }

    /// Sums up.
    pub(crate) fn end(&self) {
        self.say(&format!("\n{} targets met, {} short", self.met, self.short.len()));
        for name in &self.short {
            self.say(&format!("short: {name}"));
        }
    }
}

/// Four digits, or all of a whole number; a dash where there is none.
fn figure(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "-".to_owned()
    } else if value.fract() == 0.0 || size >= 1_000.0 {
        format!("{value:.0}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_short_only_beyond_its_target() {
        assert_eq!(Row::new("row", 1.5, "x").at_most(1.5).verdict(), "ok");
        assert_eq!(Row::new("row", 1.6, "x").at_most(1.5).verdict(), "short");
        assert_eq!(Row::new("row", 1.8, "x").at_least(1.8).verdict(), "ok");
        assert_eq!(Row::new("row", 1.7, "x").at_least(1.8).verdict(), "short");
        assert_eq!(Row::new("row", f64::NAN, "x").at_least(1.8).verdict(), "short");
        assert_eq!(Row::new("row", 1.0, "x").verdict(), "-");
    }
}
