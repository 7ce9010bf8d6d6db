//! What the client's errors mean.

use std::error::Error as _;

use etcd_client::Error;
use sentinel_datasource::{Cause, Fault, SourceError};
use tonic::{Code, Status};

/// What the server says when a name, a password or a right is missing, whatever the code that comes with it.
const DENIALS: [&str; 4] =
    ["authentication failed", "user name is empty", "authentication is not enabled", "permission denied"];

/// What a failed request means, on a line that may have broken.
pub(crate) fn failed(server: &str, fault: &Fault, error: Error) -> SourceError {
    let cause = match &error {
        // Only what this side says has a source.
        Error::GRpcStatus(status) => match status.source() {
            None => return refused(server, status.code(), status.message()),
            Some(source) => source,
        },
        // It says no more than that it is one.
        Error::TransportError(error) => error.source().unwrap_or(error),
        _ => return SourceError::Failed { server: server.to_owned(), cause: Cause::from(error) },
    };
    SourceError::disconnected(server, fault.or(cause))
}

/// What it means that the server says no.
pub(crate) fn refused(server: &str, code: Code, message: &str) -> SourceError {
    let server = server.to_owned();
    let cause = Cause::text(if message.is_empty() { code.description() } else { message });
    if code == Code::PermissionDenied || DENIALS.iter().any(|denial| message.contains(denial)) {
        SourceError::Denied { server, cause }
    } else {
        // A token that is not valid any more is among these: the next connection has a new one.
        SourceError::Failed { server, cause }
    }
}

/// Whether the revision that was asked for is forgotten by now.
pub(crate) fn is_compacted(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("required revision has been compacted")
}

/// Whether what the server has is larger than what is read.
pub(crate) fn is_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("message length too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_about_rights_is_a_denial_and_an_old_token_is_none() {
        let is_denied = |code, message: &str| {
            let error = failed("etcd", &Fault::default(), Error::GRpcStatus(Status::new(code, message)));
            assert!(error.to_string().ends_with(message), "{error}");
            matches!(error, SourceError::Denied { .. })
        };
        assert!(is_denied(Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password"));
        assert!(is_denied(Code::InvalidArgument, "etcdserver: user name is empty"));
        assert!(is_denied(Code::FailedPrecondition, "etcdserver: authentication is not enabled"));
        assert!(is_denied(Code::PermissionDenied, "etcdserver: permission denied"));
        assert!(!is_denied(Code::Unauthenticated, "etcdserver: invalid auth token"));
        assert!(!is_denied(Code::InvalidArgument, "etcdserver: revision of auth store is old"));
        assert!(!is_denied(Code::Unavailable, "etcdserver: no leader"));
    }

    #[test]
    fn a_forgotten_revision_and_a_large_message_are_told_apart() {
        let compacted = Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
        let large =
            Status::out_of_range("Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes");
        assert_eq!((is_compacted(&compacted), is_too_large(&compacted)), (true, false));
        assert_eq!((is_compacted(&large), is_too_large(&large)), (false, true));
    }
}
