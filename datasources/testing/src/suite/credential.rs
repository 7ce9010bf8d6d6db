use std::sync::Arc;

use parking_lot::Mutex;
use sentinel_datasource::Secret;

/// A password or a token that changes, and is asked for at each connection.
#[derive(Clone, Debug, Default)]
pub struct Credential(Arc<Mutex<String>>);

impl Credential {
    /// As it is at first.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Mutex::new(text.into())))
    }

    /// Whoever has its [`secret`](Self::secret) is told this from now on.
    pub fn change(&self, text: impl Into<String>) {
        *self.0.lock() = text.into();
    }

    /// What it is now.
    pub fn text(&self) -> String {
        self.0.lock().clone()
    }

    /// What a source is given.
    pub fn secret(&self) -> Secret {
        let credential = self.clone();
        Secret::told(move || Some(credential.text().into()))
    }
}
