//! The forms of documents: our own, and those of the other members of the Sentinel family.
//!
//! A document of ours holds the rules of all families. One of the others is a list of the rules of one family; how such
//! a rule is read and written is said in the folder of its family, as a [`Form`].
//!
//! What is written is read again, and has to be the same rule then: so what a form cannot say is an error, whatever it is.

mod detect;
mod form;
mod gateway;
mod java;

use serde_json::{Map, Value};

use self::detect::Detected;
pub(crate) use self::{
    form::{Form, Found, Outgoing, own},
    gateway::GATEWAY,
    java::read_cluster,
};
use super::{Format, InvalidDocument, InvalidRules, Parsed, document::read_all};
use crate::families::{Rules, forms};

/// Who writes documents in such a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// This crate: the rules of all families in one document, or those of one family as a list.
    Native,
    /// Sentinel for Go: a JSON list of the rules of one family.
    Go,
    /// Sentinel for Java, and the dashboard of it: a JSON list of the rules of one family.
    Java,
    /// The custom resources of Sentinel for Go: the whole object, its `spec`, or the list in it.
    Kubernetes,
}

impl Dialect {
    /// What it is called in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "Sentinel Kit",
            Self::Go => "Sentinel for Go",
            Self::Java => "Sentinel for Java",
            Self::Kubernetes => "Sentinel for Kubernetes",
        }
    }

    /// Whether words of a fixed choice may be written as their numbers.
    pub(super) fn has_numbers(self) -> bool {
        matches!(self, Self::Go | Self::Java)
    }

    /// Whether they may be written as words.
    pub(super) fn has_words(self) -> bool {
        self != Self::Java
    }
}

/// How a document is written.
///
/// What is left open is found out from the document when it is [decoded](Rules::decode). When rules are
/// [encoded](Rules::encode), it is our own dialect, JSON, and the one family that the rules are of.
///
/// # What the rules of others mean
///
/// They are read as the rules of ours that do the same, as near as there is one:
///
/// | Sentinel for Java | ours |
/// |---|---|
/// | flow: `grade` 1, `count`, `limitApp` | flow: `threshold` per second, in windows that slide; `origin` |
/// | `strategy` 1, `refResource` | `relatedResource`; `strategy` 2 (by entrance) is an error |
/// | `controlBehavior` 0, 1, 2, 3 | reject, `warmUp`, `throttle`, both; the cold factor is 3 |
/// | flow: `grade` 0 | isolation: `threshold`, whole |
/// | degrade: `grade` 0, `count`, `slowRatioThreshold` | circuit breaker: `slowRequestRatio`, `maxResponseTimeMs`, `threshold` |
/// | degrade: `grade` 1 and 2, `count` | `errorRatio` and `errorCount`, `threshold` |
/// | `timeWindow` in seconds, `statIntervalMs`, `minRequestAmount` | `retryTimeoutMs`, `intervalMs` in 10 buckets; always `strict` |
/// | paramFlow: `paramIdx`, `grade`, `controlBehavior`, `paramFlowItemList` | hotspot: `paramIndex`, `metric`, `behavior`, `items`; buckets fill as there (`refill` interval) |
/// | system: `highestSystemLoad`, `highestCpuUsage`, `qps`, `avgRt`, `maxThread` | one system rule each: `load1` (bbr), `cpuUsage` (gate), `inboundQps`, `avgResponseTimeMs`, `inFlight`; negative is off |
/// | authority: `limitApp`, `strategy` 0 and 1 | `origins`, allow and deny; blanks around names do not count |
///
/// | Sentinel for Go | ours |
/// |---|---|
/// | flow: `tokenCalculateStrategy`, `controlBehavior`, `relationStrategy`, `statIntervalInMs` | `strategy`, `behavior`, `relatedResource`, `intervalMs`, in windows that slide |
/// | isolation: `threshold` | isolation: `threshold` |
/// | circuitBreaker: `statSlidingWindowBucketCount`, `probeNum`, `maxAllowedRtMs` | `buckets`, `probes`, of which no more are let through at a time, `maxResponseTimeMs` |
/// | hotspot: `specificItems`, `paramsMaxCapacity`, `durationInSec` | `items`, `capacity`, `intervalMs`; buckets fill as there (`refill` interval) |
/// | system: `metricType`, `triggerCount`, `strategy` | `metric`, `threshold`, bbr or gate |
///
/// In the resources of Kubernetes the fields are those of Go, with words in place of numbers; ratios and the use of the
/// processor are in percent, a load is in hundredths. Beyond the published fields, all rules may have `enabled`,
/// `dryRun` and, but for system rules, `regex`; flow and isolation rules `limitApp`; flow rules the thresholds of
/// `MemoryAdaptive`; circuit breaker rules `statSlidingWindowBucketCount` and `probeNum`; hotspot rules `paramKey`.
/// Authority and shedding rules have the fields that they have in our own documents.
///
/// What differs on purpose:
///
/// - Windows slide: no interval, wherever it begins, has more than the threshold. Theirs are aligned to the clock.
/// - Where a resource has rules by its name, patterns do not apply to it; theirs all do. A pattern of Go is looked for
///   anywhere in a name, there and here.
/// - `*` as a resource stands for every one that no other rule is about; in Java it does so for degrade rules only, and in
///   Go for none, which a warning says.
/// - In a Java system rule, `maxThread` is the most that are in flight; there it is one more.
/// - All authority rules of a resource are in force; in Java it is the first.
/// - Values of items that are fractions are what is written; Go rounds them to five digits behind the point. Breakers have
///   as many buckets as are written; in Go it is one, if they do not divide the interval.
/// - A system rule of Java with other fields and no limit is an error; there it is off.
/// - With `clusterMode`, each instance has the whole count for itself, which a [warning](crate::Problem::Differs) says.
/// - A degrade rule of Java by an error ratio of 1 opens when all calls fail, which a warning says; there it never does.
/// - Where a name (`id`) is given twice, the second rule has none, which a warning says: there names mean nothing. Of a
///   system rule of Java, each of the rules here is called by its number with the field behind, as in `7:qps`.
/// - What the dashboard keeps about a rule, such as `app` or `gmtModified`, is passed over; where it has published the
///   rule within, as `rule`, that is read. Of rules about gateways an error says that they have no counterpart.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "yaml")] {
/// use sentinel_core::{Encoding, Format, Rules};
///
/// let published = br#"[{"resource": "orders", "grade": 1, "count": 20.0, "limitApp": "default", "controlBehavior": 2,
///                       "maxQueueingTimeMs": 500, "clusterMode": false, "gmtModified": 1529998904000}]"#;
/// let parsed = Rules::decode(published, &Encoding::detected())?;
/// assert_eq!(parsed.rules.flow[0].params.threshold, 20.0);
/// assert_eq!(parsed.warnings, []);
///
/// let go = parsed.rules.encode(&Encoding::go().format(Format::Yaml))?;
/// assert_eq!(Rules::decode(go.as_bytes(), &Encoding::go().family("flow"))?.rules, parsed.rules);
/// # }
/// # Ok::<(), sentinel_core::InvalidDocument>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoding {
    /// Who writes so; left open, it is found out.
    pub dialect: Option<Dialect>,
    /// The syntax; left open, it is found out.
    pub format: Option<Format>,
    /// The family of the rules, for documents that are about one. Left open, it is found out.
    pub family: Option<String>,
}

impl Encoding {
    /// Everything is found out from the document.
    pub fn detected() -> Self {
        Self::default()
    }

    /// Our own documents in this format.
    pub fn native(format: Format) -> Self {
        Self { dialect: Some(Dialect::Native), format: Some(format), family: None }
    }

    /// Documents of Sentinel for Go.
    pub fn go() -> Self {
        Self { dialect: Some(Dialect::Go), ..Self::default() }
    }

    /// Documents of Sentinel for Java, and of its dashboard.
    pub fn java() -> Self {
        Self { dialect: Some(Dialect::Java), ..Self::default() }
    }

    /// Custom resources of Kubernetes.
    pub fn kubernetes() -> Self {
        Self { dialect: Some(Dialect::Kubernetes), ..Self::default() }
    }

    /// Says the syntax. What is a list, as documents of Go and Java are, cannot be TOML.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Says that the document is a list of the rules of one family, by its name here or in the dialect, such as
    /// `circuitBreaker` or `degrade`.
    #[must_use]
    pub fn family(mut self, name: impl Into<String>) -> Self {
        self.family = Some(name.into());
        self
    }
}

impl Rules {
    /// Reads a document in any form.
    ///
    /// # Errors
    ///
    /// When it is not written so, when its form is left open and cannot be told, or any rule is invalid or asks for
    /// what no rule here can do: then with all errors of all rules.
    ///
    /// # Cost
    ///
    /// Time in proportion to its length. To tell what is left open takes a look at its first twenty rules.
    pub fn decode(payload: &[u8], encoding: &Encoding) -> Result<Parsed, InvalidDocument> {
        let format = encoding.format.unwrap_or_else(|| Format::detect(payload));
        let tree = format.parse(payload)?;
        match Detected::of(tree, encoding)? {
            Detected::Document(tree) => read_all(&tree),
            Detected::List { list, candidates } => {
                if list.is_empty() {
                    return Ok(Parsed { rules: Self::new(), warnings: Vec::new() });
                }
                detect::read(&list, &candidates)
            }
        }
    }

    /// Writes the rules in any form, so that [`decode`](Rules::decode) reads the same rules when it is told which.
    ///
    /// # Errors
    ///
    /// When the rules are not valid, when a rule says what the form cannot say: all errors of all rules; when they are of
    /// several families, and the form is about one; or when the format needs a feature that is off.
    ///
    /// # Example
    ///
    /// ```
    /// use sentinel_core::{Encoding, FlowRule, Rules};
    ///
    /// let rules = Rules::new().flow([FlowRule::new("orders", 20.0), FlowRule::new("search", 5.0).dry_run()]);
    /// let error = rules.encode(&Encoding::java()).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "flow rule 2 for `search`: dryRun is true, but documents of Sentinel for Java have no form for it",
    /// );
    /// ```
    pub fn encode(&self, encoding: &Encoding) -> Result<String, InvalidDocument> {
        let format = encoding.format.unwrap_or(Format::Json);
        let dialect = encoding.dialect.unwrap_or(Dialect::Native);
        let invalid = self.validate();
        if !invalid.is_empty() {
            return Err(InvalidRules::new(invalid).into());
        }
        if dialect == Dialect::Native && encoding.family.is_none() {
            return self.to_text(format);
        }
        let list = Value::Array(self.list(dialect, encoding.family.as_deref())?);
        match (dialect, format) {
            (Dialect::Kubernetes, _) => format.write(&Map::from_iter([("rules".to_owned(), list)]).into()),
            (_, Format::Toml) => Err(InvalidDocument::NoList { format }),
            _ => format.write(&list),
        }
    }

    /// The rules in the form of a dialect.
    fn list(&self, dialect: Dialect, family: Option<&str>) -> Result<Vec<Value>, InvalidDocument> {
        let families = self.families();
        let form = match (family, &*families) {
            (Some(name), _) => forms_called(dialect, name)?,
            (None, []) => return Ok(Vec::new()),
            (None, [first, ..]) => forms_called(dialect, first)?,
        };
        let Some(form) = form.first().filter(|form| families.iter().all(|family| form.holds(family))) else {
            return Err(InvalidDocument::Families { dialect, families });
        };
        let mut out = Outgoing::new(form);
        form.write(self, &mut out);
        out.finish()
    }
}

fn unknown_family(dialect: Dialect, family: &str) -> InvalidDocument {
    let known = forms().filter(|form| form.dialect == dialect && !form.families.is_empty()).map(Form::name).collect();
    InvalidDocument::UnknownFamily { dialect, family: family.to_owned(), known }
}

/// The forms of a dialect for the rules of a family, by any of its names.
fn forms_called(dialect: Dialect, family: &str) -> Result<Vec<&'static Form>, InvalidDocument> {
    let found: Vec<_> = forms().filter(|form| form.dialect == dialect && form.is_called(family)).collect();
    if found.is_empty() {
        return Err(unknown_family(dialect, family));
    }
    Ok(found)
}
