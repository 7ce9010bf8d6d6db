//! As much of ZooKeeper's protocol as rules need. The length in front of each frame is not dealt with here.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut, TryGetError};

/// What a frame has beside the data of a node and its path, and more.
pub(crate) const OVERHEAD: usize = 64 << 10;

/// The version that fits every version of a node.
pub(crate) const ANY_VERSION: i32 = -1;

const NOTIFICATION: i32 = -1;
const PING_ID: i32 = -2;
const AUTH_ID: i32 = -4;

/// Of a session that there is not yet.
const NO_PASSWORD: [u8; 16] = [0; 16];

/// What can be asked of a server in a session.
#[derive(Clone, Copy)]
pub(crate) enum Operation<'a> {
    /// Whether there is a node, and to be told of the next change of it.
    Exists {
        path: &'a str,
    },
    /// What a node holds, and to be told of the next change of it.
    GetData {
        path: &'a str,
    },
    SetData {
        path: &'a str,
        data: &'a [u8],
        version: i32,
    },
    /// Makes a node, for whoever is logged in alone or for everybody.
    Create {
        path: &'a str,
        data: &'a [u8],
        is_private: bool,
    },
    /// Has the server catch up with the others.
    Sync {
        path: &'a str,
    },
    /// Logs in.
    Auth {
        user: &'a str,
        password: &'a str,
    },
    /// Whether the server is there.
    Ping,
    /// Ends the session.
    Close,
}

impl Operation<'_> {
    fn code(&self) -> i32 {
        match self {
            Self::Exists { .. } => 3,
            Self::GetData { .. } => 4,
            Self::SetData { .. } => 5,
            Self::Sync { .. } => 9,
            Self::Create { .. } => 15,
            Self::Auth { .. } => 100,
            Self::Ping => 11,
            Self::Close => -11,
        }
    }

    /// The number by which the answer is known: one of its own, or the next of the session.
    pub(crate) fn id(&self, next: i32) -> i32 {
        match self {
            Self::Ping => PING_ID,
            Self::Auth { .. } => AUTH_ID,
            _ => next,
        }
    }

    pub(crate) fn encode(&self, id: i32) -> Bytes {
        let mut frame = BytesMut::new();
        frame.put_i32(id);
        frame.put_i32(self.code());
        match self {
            Self::Exists { path } | Self::GetData { path } => {
                put_bytes(&mut frame, path.as_bytes());
                frame.put_u8(1);
            }
            Self::Sync { path } => put_bytes(&mut frame, path.as_bytes()),
            Self::SetData { path, data, version } => {
                put_bytes(&mut frame, path.as_bytes());
                put_bytes(&mut frame, data);
                frame.put_i32(*version);
            }
            Self::Create { path, data, is_private } => {
                put_bytes(&mut frame, path.as_bytes());
                put_bytes(&mut frame, data);
                put_rights(&mut frame, *is_private);
                // Neither ephemeral nor numbered.
                frame.put_i32(0);
            }
            Self::Auth { user, password } => {
                frame.put_i32(0);
                put_bytes(&mut frame, b"digest");
                put_bytes(&mut frame, format!("{user}:{password}").as_bytes());
            }
            Self::Ping | Self::Close => {}
        }
        frame.freeze()
    }
}

/// Asks for a new session.
pub(crate) fn connect(timeout: Duration) -> Bytes {
    let mut frame = BytesMut::new();
    // The version of the protocol, and the last change that was seen: none.
    frame.put_i32(0);
    frame.put_i64(0);
    frame.put_i32(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    frame.put_i64(0);
    put_bytes(&mut frame, &NO_PASSWORD);
    // A server that has lost the others will not do.
    frame.put_u8(0);
    frame.freeze()
}

/// How long the server keeps a new session that is silent; nothing where it gives none.
pub(crate) fn connected(mut frame: BytesMut) -> Result<Option<Duration>, Malformed> {
    let _version = frame.try_get_i32()?;
    let timeout = u64::try_from(frame.try_get_i32()?).unwrap_or(0);
    Ok(Some(Duration::from_millis(timeout)).filter(|timeout| !timeout.is_zero()))
}

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A node that was watched has changed, or the session has.
    Told,
    /// What came of an operation.
    Answer { id: i32, outcome: Result<BytesMut, Refusal> },
}

impl Frame {
    pub(crate) fn decode(mut frame: BytesMut) -> Result<Self, Malformed> {
        let (id, _change, code) = (frame.try_get_i32()?, frame.try_get_i64()?, frame.try_get_i32()?);
        Ok(match (id, code) {
            (NOTIFICATION, _) => Self::Told,
            (id, 0) => Self::Answer { id, outcome: Ok(frame) },
            (id, code) => Self::Answer { id, outcome: Err(Refusal::from(code)) },
        })
    }
}

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such node")]
    NoNode,
    #[error("this user may not do that with the node")]
    NotPermitted,
    #[error("the node has another version")]
    OtherVersion,
    #[error("there is such a node")]
    NodeExists,
    #[error("the node would be for whoever is logged in, and nobody is")]
    NobodyLoggedIn,
    #[error("the session has expired")]
    SessionExpired,
    #[error("the server does not let this user in")]
    NotLoggedIn,
    #[error("the server answers with error {0}")]
    Other(i32),
}

impl From<i32> for Refusal {
    fn from(code: i32) -> Self {
        match code {
            -101 => Self::NoNode,
            -102 => Self::NotPermitted,
            -103 => Self::OtherVersion,
            -110 => Self::NodeExists,
            -112 => Self::SessionExpired,
            -114 => Self::NobodyLoggedIn,
            // The second: it lets nobody in who has not logged in.
            -115 | -124 => Self::NotLoggedIn,
            code => Self::Other(code),
        }
    }
}

/// What is known of a node beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The change that made it.
    created: i64,
    pub(crate) version: i32,
    pub(crate) len: u64,
}

impl Stat {
    /// Takes one from the front of an answer.
    pub(crate) fn take(answer: &mut BytesMut) -> Result<Self, Malformed> {
        let created = answer.try_get_i64()?;
        let (_changed, _created_at, _changed_at) =
            (answer.try_get_i64()?, answer.try_get_i64()?, answer.try_get_i64()?);
        let version = answer.try_get_i32()?;
        let (_of_children, _of_rights, _owner) = (answer.try_get_i32()?, answer.try_get_i32()?, answer.try_get_i64()?);
        let len = u64::try_from(answer.try_get_i32()?).unwrap_or(0);
        let (_children, _changed_children) = (answer.try_get_i32()?, answer.try_get_i64()?);
        Ok(Self { created, version, len })
    }

    /// What tells this version from all others of the path, also of nodes that were deleted and made again.
    pub(crate) fn revision(&self) -> String {
        format!("{:x}.{}", self.created, self.version)
    }
}

/// Takes bytes from the front of an answer.
pub(crate) fn take_bytes(answer: &mut BytesMut) -> Result<BytesMut, Malformed> {
    // Nothing at all is written as -1.
    let len = usize::try_from(answer.try_get_i32()?).unwrap_or(0);
    if len > answer.len() {
        return Err(Malformed);
    }
    Ok(answer.split_to(len))
}

/// A frame that is shorter than what it should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its answer was cut short")]
pub(crate) struct Malformed;

impl From<TryGetError> for Malformed {
    fn from(_: TryGetError) -> Self {
        Self
    }
}

fn put_bytes(frame: &mut BytesMut, bytes: &[u8]) {
    // What is longer than the number can say is longer than a frame may be, and is not sent.
    frame.put_i32(bytes.len() as i32);
    frame.put_slice(bytes);
}

/// One entry: all rights for one.
fn put_rights(frame: &mut BytesMut, is_private: bool) {
    let (scheme, who) = if is_private { ("auth", "") } else { ("world", "anyone") };
    frame.put_i32(1);
    frame.put_i32(31);
    put_bytes(frame, scheme.as_bytes());
    put_bytes(frame, who.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> BytesMut {
        BytesMut::from(&*parts.concat())
    }

    #[test]
    fn operations_are_written_as_the_server_reads_them() {
        let path = [&[0, 0, 0, 2][..], b"/a"].concat();
        let encoded = |operation: Operation<'_>| operation.encode(operation.id(7)).to_vec();
        assert_eq!(encoded(Operation::Exists { path: "/a" }), [&[0, 0, 0, 7, 0, 0, 0, 3], &*path, &[1]].concat());
        assert_eq!(
            encoded(Operation::SetData { path: "/a", data: b"x", version: ANY_VERSION }),
            [&[0, 0, 0, 7, 0, 0, 0, 5], &*path, &[0, 0, 0, 1], b"x", &[0xff; 4]].concat(),
        );
        assert_eq!(encoded(Operation::Sync { path: "/a" }), [&[0, 0, 0, 7, 0, 0, 0, 9], &*path].concat());
        assert_eq!(encoded(Operation::Ping), [0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11]);
        assert_eq!(
            encoded(Operation::Auth { user: "a", password: "b" }),
            [&[0xff, 0xff, 0xff, 0xfc, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 6][..], b"digest", &[0, 0, 0, 3], b"a:b"]
                .concat(),
        );
        assert_eq!(connect(Duration::from_millis(6_000)).len(), 45);
    }

    #[test]
    fn answers_are_told_from_what_is_told_unasked_and_what_is_short_is_an_error() {
        let header = |id: i32, code: i32| bytes(&[&id.to_be_bytes(), &[0; 8], &code.to_be_bytes(), b"rest"]);
        assert_eq!(Frame::decode(header(-1, 0)), Ok(Frame::Told));
        assert_eq!(Frame::decode(header(7, 0)), Ok(Frame::Answer { id: 7, outcome: Ok(bytes(&[b"rest"])) }));
        assert_eq!(Frame::decode(header(7, -101)), Ok(Frame::Answer { id: 7, outcome: Err(Refusal::NoNode) }));
        for len in 0..16 {
            assert_eq!(Frame::decode(header(7, 0).split_to(len)), Err(Malformed), "{len}");
        }
        assert_eq!(connected(bytes(&[&[0; 4], &[0, 0, 0x17, 0x70]])), Ok(Some(Duration::from_secs(6))));
        assert_eq!(connected(bytes(&[&[0; 8]])), Ok(None));
        assert_eq!(connected(bytes(&[&[0; 7]])), Err(Malformed));

        assert_eq!(take_bytes(&mut bytes(&[&[0, 0, 0, 1], b"xy"])), Ok(bytes(&[b"x"])));
        assert_eq!(take_bytes(&mut bytes(&[&[0xff; 4]])), Ok(BytesMut::new()));
        assert_eq!(take_bytes(&mut bytes(&[&[0, 0, 0, 3], b"xy"])), Err(Malformed));
        assert!(Stat::take(&mut bytes(&[&[0; 67]])).is_err());
        let stat =
            Stat::take(&mut bytes(&[&[0; 7], &[0x1f], &[0; 24], &[0, 0, 0, 3], &[0; 16], &[0, 0, 0, 9], &[0; 12]]));
        assert_eq!(stat, Ok(Stat { created: 0x1f, version: 3, len: 9 }));
        assert_eq!(stat.unwrap().revision(), "1f.3");
    }
}
