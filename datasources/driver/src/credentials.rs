use std::{fmt, fs, path::PathBuf, sync::Arc};

use secrecy::{ExposeSecret as _, SecretString};

use crate::SourceError;

/// A password or a token. It is in no `Debug` output, no error and no log, and is wiped from memory when it goes.
///
/// # Example
///
/// ```
/// use sentinel_datasource::Secret;
///
/// let fixed = Secret::from("hunter2");
/// let rotated = Secret::file("/var/run/secrets/token"); // read again for each connection
/// assert_eq!(format!("{fixed:?}"), "Secret(..)");
/// ```
#[derive(Clone)]
pub struct Secret(Origin);

#[derive(Clone)]
enum Origin {
    Text(SecretString),
    File(PathBuf),
    Told(Arc<dyn Fn() -> Option<SecretString> + Send + Sync>),
}

impl Secret {
    /// What the file at a path holds, blanks around it left out; read again for each connection, so that a new secret is
    /// used without a restart.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File(path.into()))
    }

    /// What a function says, asked for each connection. Nothing means that there is no secret now.
    pub fn told(secret: impl Fn() -> Option<SecretString> + Send + Sync + 'static) -> Self {
        Self(Origin::Told(Arc::new(secret)))
    }

    /// The secret as it is now; for sources.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn reveal(&self) -> Result<SecretString, SourceError> {
        let missing = |cause| SourceError::Setting { setting: "the secret", cause };
        match &self.0 {
            Origin::Text(secret) => Ok(secret.clone()),
            Origin::File(path) => match fs::read_to_string(path).map(SecretString::from) {
                Ok(text) => Ok(SecretString::from(text.expose_secret().trim())),
                Err(error) => {
                    Err(missing(crate::Cause::text(format!("{}: {}", path.display(), crate::Cause::from(error)))))
                }
            },
            Origin::Told(secret) => secret().ok_or_else(|| missing(crate::Cause::text("there is none now"))),
        }
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(Origin::Text(secret.into()))
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(Origin::Text(secret.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_is_read_anew_each_time_without_the_blanks_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let secret = Secret::file(&path);
        assert!(secret.reveal().unwrap_err().to_string().contains("token"));
        fs::write(&path, "first\n").unwrap();
        assert_eq!(secret.reveal().unwrap().expose_secret(), "first");
        fs::write(&path, "second").unwrap();
        assert_eq!(secret.reveal().unwrap().expose_secret(), "second");
    }
}
