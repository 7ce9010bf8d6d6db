//! What the client says, as errors of a source.

use kube::{client::AuthError, core::Status, runtime::watcher};
use sentinel_datasource::{Cause, SourceError};
use tower::BoxError;

/// What went wrong with a request.
pub(crate) fn of_client(server: &str, error: kube::Error) -> SourceError {
    let server = server.to_owned();
    match error {
        kube::Error::Api(status) => of_status(server, &status),
        kube::Error::Service(error) => match error.downcast::<SourceError>() {
            Ok(error) => *error,
            Err(error) => SourceError::disconnected(server, &*error),
        },
        kube::Error::HyperError(error) => SourceError::Unreachable { server, cause: error.into() },
        kube::Error::ReadEvents(error) => SourceError::Unreachable { server, cause: error.into() },
        kube::Error::Auth(error) => SourceError::Setting { setting: "the credentials", cause: of_credentials(&error) },
        error => SourceError::Failed { server, cause: error.into() },
    }
}

/// What went wrong with a watch.
pub(crate) fn of_watch(server: &str, error: watcher::Error) -> SourceError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => of_client(server, error),
        watcher::Error::WatchError(status) => of_status(server.to_owned(), &status),
        error @ watcher::Error::NoResourceVersion => {
            SourceError::Failed { server: server.to_owned(), cause: error.into() }
        }
    }
}

/// Whether the server does not remember any more what a watch goes on from, so that its next step is a new list.
///
/// One that is refused like that as it begins would go on from there again and again.
pub(crate) fn is_gone(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

fn of_status(server: String, status: &Status) -> SourceError {
    let cause = Cause::text(match &*status.message {
        "" => format!("status {}", status.code),
        message => format!("{message} (status {})", status.code),
    });
    match status.code {
        401 | 403 => SourceError::Denied { server, cause },
        _ => SourceError::Failed { server, cause },
    }
}

/// What a command for credentials prints goes no further, since the client logs its errors as they are.
pub(crate) fn without_secrets(error: BoxError) -> BoxError {
    match error.downcast::<AuthError>() {
        Ok(error) => SourceError::Setting { setting: "the credentials", cause: of_credentials(&error) }.into(),
        Err(error) => error,
    }
}

/// What commands print and what they are given may be secret.
fn of_credentials(error: &AuthError) -> Cause {
    Cause::text(match error {
        AuthError::AuthExecRun { out, .. } => format!("the command that prints them has failed: {}", out.status),
        AuthError::AuthExecStart(error) => format!("the command that prints them cannot be run: {error}"),
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => "the command prints something else".to_owned(),
        AuthError::ReadTokenFile(error, path) => format!("{}: {error}", path.display()),
        AuthError::ExecPluginFailed | AuthError::UnrefreshableTokenResponse => "the command prints none".to_owned(),
        AuthError::MissingCommand => "there is no command that prints them".to_owned(),
        _ => "they are not what they should be".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn status(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Status { code, message: message.to_owned(), ..Status::default() }.boxed())
    }

    #[test]
    fn who_may_not_is_denied_and_all_else_may_pass() {
        let of = |code| of_client("https://k", status(code, "no"));
        assert!(matches!(of(401), SourceError::Denied { .. }));
        assert!(matches!(of(403), SourceError::Denied { .. }));
        assert_eq!(of(404).to_string(), "https://k failed: no (status 404)");
        assert_eq!(of_client("https://k", status(503, "")).to_string(), "https://k failed: status 503");
    }

    #[test]
    fn what_a_command_for_credentials_prints_is_not_shown() {
        let out = std::process::Output {
            status: std::process::ExitStatus::from_raw(256),
            stdout: b"s3cret".to_vec(),
            stderr: b"s3cret".to_vec(),
        };
        let failed = || AuthError::AuthExecRun { cmd: "SECRET=s3cret run".to_owned(), out: Box::new(out.clone()) };
        // As a connection is made, and as a token is renewed within a request.
        let renewal = kube::Error::Service(without_secrets(Box::new(failed())));
        for told in [kube::Error::Auth(failed()), renewal] {
            let error = of_client("https://k", told);
            assert!(!format!("{error} {error:?}").contains("s3cret"));
            assert!(error.to_string().contains("has failed: exit status: 1"), "{error}");
        }
    }

    #[test]
    fn an_error_of_ours_that_went_through_the_client_is_the_same_afterwards() {
        let ours = SourceError::Setting { setting: "the secret", cause: Cause::text("there is none now") };
        let told = of_client("https://k", kube::Error::Service(Box::new(ours)));
        assert_eq!(told.to_string(), "the secret cannot be used: there is none now");
    }
}
