use smallvec::SmallVec;

/// What a call says of itself when it enters.
///
/// # Example
///
/// ```
/// use sentinel_core::{Arg, Call, Sentinel};
///
/// let args = [Arg::from(42), Arg::from("eu-west")];
/// let call = Call::new().count(3).origin("mobile").args(&args);
/// let entry = Sentinel::default().enter_with("orders", &call).immediately()?;
/// # Ok::<(), sentinel_core::Blocked>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    count: u32,
    prioritized: bool,
    criticality: Criticality,
    origin: &'a str,
    args: &'a [Arg<'a>],
    named_args: &'a [(&'a str, Arg<'a>)],
}

impl<'a> Call<'a> {
    /// A call for one permit, by nobody in particular.
    #[inline]
    pub const fn new() -> Self {
        Self { count: 1, prioritized: false, criticality: Criticality::Default, origin: "", args: &[], named_args: &[] }
    }

    /// A call for one permit that is there already when it is asked for.
    pub(crate) const PLAIN: &'static Call<'static> = &Call::new();

    /// How many permits the call asks for, all or none; default 1.
    ///
    /// A call for none is admitted wherever no rule refuses everything, and counts for nothing.
    #[must_use]
    pub const fn count(mut self, permits: u32) -> Self {
        self.count = permits;
        self
    }

    /// Who calls; default: nobody in particular.
    #[must_use]
    pub const fn origin(mut self, origin: &'a str) -> Self {
        self.origin = origin;
        self
    }

    /// Lets the call take permits of the next window, after a wait, when those of the current one are used up.
    #[must_use]
    pub const fn prioritized(mut self) -> Self {
        self.prioritized = true;
        self
    }

    /// How important the call is, for rules that keep permits for the more important ones.
    #[must_use]
    pub const fn criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    /// The arguments of the call by position, for rules on their values.
    #[must_use]
    pub const fn args(mut self, args: &'a [Arg<'a>]) -> Self {
        self.args = args;
        self
    }

    /// The arguments of the call by name, for rules on their values.
    #[must_use]
    pub const fn named_args(mut self, args: &'a [(&'a str, Arg<'a>)]) -> Self {
        self.named_args = args;
        self
    }

    /// How many permits the call asks for.
    #[inline]
    pub const fn permits(&self) -> u32 {
        self.count
    }

    /// Who calls; empty when nobody said so.
    #[inline]
    pub const fn caller(&self) -> &'a str {
        self.origin
    }

    /// Whether the call may take permits of the next window.
    #[inline]
    pub const fn is_prioritized(&self) -> bool {
        self.prioritized
    }

    /// How important the call is.
    #[inline]
    pub const fn importance(&self) -> Criticality {
        self.criticality
    }

    /// The argument at a position; negative positions count from the end.
    pub fn arg(&self, position: isize) -> Option<Arg<'a>> {
        let index = if position < 0 { self.args.len().checked_add_signed(position)? } else { position.unsigned_abs() };
        self.args.get(index).copied()
    }

    /// The argument of a name.
    pub fn named_arg(&self, name: &str) -> Option<Arg<'a>> {
        self.named_args.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// How important a call is: which goes first when there is too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// Can be left out: prefetching, crawlers, batch work.
    Sheddable,
    /// Everything else; the default.
    #[default]
    Default,
    /// Has to get through: what users notice at once, health checks.
    Critical,
}

/// The value of an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Arg<'a> {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// A truth value.
    Bool(bool),
    /// A floating point number. One of 32 bits is widened: 0.1 of 32 bits is another number than 0.1.
    Float(f64),
    /// Bytes, such as a binary key.
    Bytes(&'a [u8]),
}

macro_rules! arg_from {
    ($($from:ty => $variant:ident),+) => {
        $(impl<'a> From<$from> for Arg<'a> {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })+
    };
}

arg_from!(i32 => Integer, u32 => Integer, i64 => Integer, &'a str => Text, bool => Bool, f32 => Float, f64 => Float, &'a [u8] => Bytes);

/// A call that outlives the one who made it, kept while it waits.
#[derive(Debug)]
pub(crate) struct OwnedCall {
    count: u32,
    prioritized: bool,
    criticality: Criticality,
    origin: Box<str>,
    args: Box<[OwnedArg]>,
    named_args: Box<[(Box<str>, OwnedArg)]>,
}

#[derive(Debug)]
enum OwnedArg {
    Integer(i64),
    Text(Box<str>),
    Bool(bool),
    Float(f64),
    Bytes(Box<[u8]>),
}

impl OwnedCall {
    pub(crate) fn permits(&self) -> u32 {
        self.count
    }

    /// Lends the call again.
    pub(crate) fn with<T>(&self, go_on: impl FnOnce(&Call<'_>) -> T) -> T {
        let args: SmallVec<[Arg<'_>; 4]> = self.args.iter().map(OwnedArg::lend).collect();
        let named_args: SmallVec<[(&str, Arg<'_>); 4]> =
            self.named_args.iter().map(|(name, value)| (&**name, value.lend())).collect();
        go_on(&Call {
            count: self.count,
            prioritized: self.prioritized,
            criticality: self.criticality,
            origin: &self.origin,
            args: &args,
            named_args: &named_args,
        })
    }
}

impl From<&Call<'_>> for OwnedCall {
    fn from(call: &Call<'_>) -> Self {
        Self {
            count: call.count,
            prioritized: call.prioritized,
            criticality: call.criticality,
            origin: call.origin.into(),
            args: call.args.iter().map(OwnedArg::from).collect(),
            named_args: call.named_args.iter().map(|(name, value)| ((*name).into(), value.into())).collect(),
        }
    }
}

impl OwnedArg {
    fn lend(&self) -> Arg<'_> {
        match self {
            Self::Integer(value) => Arg::Integer(*value),
            Self::Text(value) => Arg::Text(value),
            Self::Bool(value) => Arg::Bool(*value),
            Self::Float(value) => Arg::Float(*value),
            Self::Bytes(value) => Arg::Bytes(value),
        }
    }
}

impl From<&Arg<'_>> for OwnedArg {
    fn from(arg: &Arg<'_>) -> Self {
        match *arg {
            Arg::Integer(value) => Self::Integer(value),
            Arg::Text(value) => Self::Text(value.into()),
            Arg::Bool(value) => Self::Bool(value),
            Arg::Float(value) => Self::Float(value),
            Arg::Bytes(value) => Self::Bytes(value.into()),
        }
    }
}
