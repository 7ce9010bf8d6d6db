//! A shared value that is replaced as a whole.

#[cfg(not(loom))]
pub(crate) use arc_swap::ArcSwap as Swap;

/// Stands in for [`arc_swap::ArcSwap`], which loom cannot look into.
#[cfg(loom)]
pub(crate) struct Swap<T>(loom::sync::Mutex<std::sync::Arc<T>>);

#[cfg(loom)]
impl<T> Swap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self(loom::sync::Mutex::new(std::sync::Arc::new(value)))
    }

    pub(crate) fn load_full(&self) -> std::sync::Arc<T> {
        std::sync::Arc::clone(&self.0.lock().expect("no model panics inside"))
    }

    pub(crate) fn swap(&self, value: std::sync::Arc<T>) -> std::sync::Arc<T> {
        std::mem::replace(&mut *self.0.lock().expect("no model panics inside"), value)
    }
}
