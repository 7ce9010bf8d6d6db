//! The driver on a clock that is advanced by hand, with a source whose every step the test decides.

mod connections;
mod documents;
mod life;
mod memory;
mod snapshots;
mod starts;
