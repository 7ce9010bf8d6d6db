//! What the client reports, as errors of the source.

use std::{error::Error, io, sync::Arc};

use redis::{ErrorKind, RedisError};
use sentinel_datasource::{Cause, Fault, SourceError};

/// What the server says of who may not come in, or may not do that.
const DENIALS: [&str; 4] = ["NOPERM", "NOAUTH", "WRONGPASS", "DENIED"];

/// What came of a request, on a line that may have broken.
pub(crate) fn failure(server: &str, fault: &Fault, error: RedisError) -> SourceError {
    if let Some(error) = io_error(&error) {
        return SourceError::disconnected(server, fault.or(error));
    }
    let is_denied =
        error.kind() == ErrorKind::AuthenticationFailed || error.code().is_some_and(|code| DENIALS.contains(&code));
    let (server, cause) = (server.to_owned(), Cause::from(error));
    if is_denied { SourceError::Denied { server, cause } } else { SourceError::Failed { server, cause } }
}

/// What came of the first request, in which the password is.
pub(crate) fn first_failure(server: &str, fault: &Fault, error: RedisError) -> SourceError {
    // A server that does not know the command repeats its arguments.
    let is_unknown = error.detail().is_some_and(|detail| detail.contains("unknown command"));
    if is_unknown || error.kind() == ErrorKind::RESP3NotSupported {
        let cause = Cause::text("it does not know the command HELLO, as Redis 6 and newer do");
        return SourceError::Failed { server: server.to_owned(), cause };
    }
    failure(server, fault, error)
}

/// Whether the key holds something else than text.
pub(crate) fn is_no_text(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// Whether the server has answered, even though not as it was asked to.
pub(crate) fn is_answer(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

fn io_error(error: &RedisError) -> Option<&io::Error> {
    // The client keeps it so that its errors can be cloned.
    error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn answer(line: &str) -> RedisError {
        parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn errors_are_what_the_server_means() {
        let told = |error| failure("Redis at here", &Fault::default(), error);
        for denial in ["NOAUTH log in", "WRONGPASS no", "NOPERM no", "DENIED protected mode"] {
            let denied = told(answer(denial));
            assert!(matches!(denied, SourceError::Denied { .. }), "{denied:?}");
        }
        for failure in ["LOADING a moment", "ERR max number of clients reached", "READONLY no"] {
            let failed = told(answer(failure));
            assert!(matches!(failed, SourceError::Failed { .. }), "{failed:?}");
        }
        let broken = told(io::Error::from(io::ErrorKind::ConnectionReset).into());
        assert_eq!(broken.to_string(), "Redis at here cannot be reached: connection reset");
        assert!(matches!(broken, SourceError::Unreachable { .. }), "{broken:?}");
    }
}
