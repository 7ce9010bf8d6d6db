//! As much of the server's protocol as puts a value: frames with their length in front, numbers with the high byte first.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::servers::{
    Account, Failure,
    client::{Route, Stream},
};

const SESSION_TIMEOUT_MS: i32 = 5_000;

/// No answer is as long.
const MAX_FRAME: i32 = 8 << 20;

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const AUTH: i32 = 100;
const CLOSE: i32 = -11;

/// The number of a request to log in, which is no request of the session.
const AUTH_ID: i32 = -4;

const NO_NODE: i32 = -101;
const NODE_EXISTS: i32 = -110;

/// The version that fits every version of a node.
const ANY: i32 = -1;

/// Who may do what with a node.
#[derive(Clone, Debug)]
pub(super) struct Acl {
    permissions: i32,
    scheme: &'static str,
    id: String,
}

impl Acl {
    const READ: i32 = 1;
    const WRITE: i32 = 1 << 1;
    const ALL: i32 = 31;

    pub(super) fn anyone() -> Self {
        Self { permissions: Self::ALL, scheme: "world", id: "anyone".to_owned() }
    }

    pub(super) fn all(account: Account) -> Self {
        Self::digest(Self::ALL, account)
    }

    pub(super) fn write(account: Account) -> Self {
        Self::digest(Self::READ | Self::WRITE, account)
    }

    pub(super) fn read(account: Account) -> Self {
        Self::digest(Self::READ, account)
    }

    fn digest(permissions: i32, account: Account) -> Self {
        let secret = digest(&SHA1_FOR_LEGACY_USE_ONLY, credentials(account).as_bytes());
        Self { permissions, scheme: "digest", id: format!("{}:{}", account.name, STANDARD.encode(secret)) }
    }
}

fn credentials(account: Account) -> String {
    format!("{}:{}", account.name, account.secret)
}

/// The answer to a request of this kind.
#[derive(Debug)]
struct Reply {
    kind: i32,
    code: i32,
    body: Vec<u8>,
}

impl Reply {
    fn good(self) -> Result<Vec<u8>, Failure> {
        match self.code {
            0 => Ok(self.body),
            code => Err(Failure::Refused(format!("request {} fails with code {code}", self.kind))),
        }
    }
}

/// A session, which is one connection.
pub(super) struct Session {
    stream: Box<dyn Stream>,
    last_id: i32,
}

impl Session {
    pub(super) async fn open(route: &Route) -> Result<Self, Failure> {
        let mut session = Self { stream: route.connect().await?, last_id: 0 };
        let mut request = Vec::new();
        // Version, last change that was seen, time-out, session and its password: a new one.
        request.extend(0_i32.to_be_bytes());
        request.extend(0_i64.to_be_bytes());
        request.extend(SESSION_TIMEOUT_MS.to_be_bytes());
        request.extend(0_i64.to_be_bytes());
        put_buffer(&mut request, &[0; 16]);
        session.send(&request).await?;
        session.receive().await?;
        Ok(session)
    }

    pub(super) async fn log_in(&mut self, account: Account) -> Result<(), Failure> {
        let mut body = 0_i32.to_be_bytes().to_vec();
        put_buffer(&mut body, b"digest");
        put_buffer(&mut body, credentials(account).as_bytes());
        self.exchange(AUTH_ID, AUTH, &body).await?.good().map(drop)
    }

    pub(super) async fn create_if_missing(&mut self, path: &str, acl: &[Acl]) -> Result<(), Failure> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        put_buffer(&mut body, &[]);
        body.extend((acl.len() as i32).to_be_bytes());
        for entry in acl {
            body.extend(entry.permissions.to_be_bytes());
            put_buffer(&mut body, entry.scheme.as_bytes());
            put_buffer(&mut body, entry.id.as_bytes());
        }
        // Neither ephemeral nor numbered.
        body.extend(0_i32.to_be_bytes());
        match self.request(CREATE, &body).await? {
            Reply { code: NODE_EXISTS, .. } => Ok(()),
            reply => reply.good().map(drop),
        }
    }

    pub(super) async fn set(&mut self, path: &str, value: &[u8]) -> Result<(), Failure> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        put_buffer(&mut body, value);
        body.extend(ANY.to_be_bytes());
        self.request(SET_DATA, &body).await?.good().map(drop)
    }

    /// The value of a node, if there is one.
    pub(super) async fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        // Without a watch.
        body.push(0);
        match self.request(GET_DATA, &body).await? {
            Reply { code: NO_NODE, .. } => Ok(None),
            reply => take_buffer(&mut &*reply.good()?).map(Some),
        }
    }

    pub(super) async fn delete(&mut self, path: &str) -> Result<(), Failure> {
        let mut body = Vec::new();
        put_buffer(&mut body, path.as_bytes());
        body.extend(ANY.to_be_bytes());
        self.request(DELETE, &body).await?.good().map(drop)
    }

    pub(super) async fn close(mut self) -> Result<(), Failure> {
        self.request(CLOSE, &[]).await?.good().map(drop)
    }

    async fn request(&mut self, kind: i32, body: &[u8]) -> Result<Reply, Failure> {
        self.last_id += 1;
        self.exchange(self.last_id, kind, body).await
    }

    /// Sends a request, and takes the answer: what comes after its header.
    async fn exchange(&mut self, id: i32, kind: i32, body: &[u8]) -> Result<Reply, Failure> {
        let mut frame = [id.to_be_bytes(), kind.to_be_bytes()].concat();
        frame.extend_from_slice(body);
        self.send(&frame).await?;
        let answer = self.receive().await?;
        let mut rest = &*answer;
        // Between the two: the number of the last change.
        let (answered, _, code) = (take_i32(&mut rest)?, take(&mut rest, 8)?, take_i32(&mut rest)?);
        if answered != id {
            return Err(Failure::Protocol("the answer to another request"));
        }
        Ok(Reply { kind, code, body: rest.to_vec() })
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let mut bytes = Vec::with_capacity(4 + frame.len());
        put_buffer(&mut bytes, frame);
        self.stream.write_all(&bytes).await?;
        Ok(())
    }

    async fn receive(&mut self) -> Result<Vec<u8>, Failure> {
        let len = self.stream.read_i32().await?;
        if !(0..=MAX_FRAME).contains(&len) {
            return Err(Failure::Protocol("a frame of a length that cannot be"));
        }
        let mut frame = vec![0; len as usize];
        self.stream.read_exact(&mut frame).await?;
        Ok(frame)
    }
}

fn put_buffer(request: &mut Vec<u8>, bytes: &[u8]) {
    request.extend((bytes.len() as i32).to_be_bytes());
    request.extend_from_slice(bytes);
}

fn take_buffer(answer: &mut &[u8]) -> Result<Vec<u8>, Failure> {
    match take_i32(answer)? {
        // Nothing at all, which a value may be as well.
        -1 => Ok(Vec::new()),
        len => take(answer, len as usize).map(<[u8]>::to_vec),
    }
}

fn take_i32(answer: &mut &[u8]) -> Result<i32, Failure> {
    take(answer, 4).map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | i32::from(*byte)))
}

fn take<'a>(answer: &mut &'a [u8], len: usize) -> Result<&'a [u8], Failure> {
    answer.split_off(..len).ok_or(Failure::Protocol("an answer that is too short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_as_they_were_and_what_is_short_is_an_error() {
        let mut frame = Vec::new();
        put_buffer(&mut frame, b"value");
        put_buffer(&mut frame, b"");
        let mut rest = &*frame;
        assert_eq!(take_buffer(&mut rest).unwrap(), b"value");
        assert_eq!(take_buffer(&mut rest).unwrap(), b"");
        assert!(matches!(take_buffer(&mut rest), Err(Failure::Protocol(_))));
        assert!(take_buffer(&mut &frame[..8]).is_err());
        assert_eq!(take_i32(&mut &(-110_i32).to_be_bytes()[..]).unwrap(), -110);
    }
}
