//! What the engine costs and admits, beside its peers.
//!
//! [`ours`], [`families`], [`keys`], [`breakers`], [`stack`], [`floor`] and [`peers`] make calls: closures that ask to
//! enter, end what was admitted, and say whether it was. The criterion benches time them; [`table`] holds them against
//! the targets; [`audit`] checks what they admitted.

pub mod breakers;
pub mod families;
pub mod floor;
pub mod keys;
pub mod ours;
pub mod peers;
pub mod stack;
pub mod table;
mod threads;
mod timing;

pub use sentinel_examples::audit;

/// What keeps a measurement from being made.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A call that was made once before: where there was one permit, it is gone.
pub fn used_up<F: Fn() -> bool>(call: F) -> F {
    call();
    call
}
