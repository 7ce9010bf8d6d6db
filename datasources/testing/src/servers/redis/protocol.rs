//! As much of Redis's protocol as executes a command.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::servers::client::{Failure, Stream};

/// No value is as long.
const MAX_LEN: usize = 64 << 20;

/// What the server answers to a command that it has executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Text(String),
    Number(i64),
    Bytes(Option<Vec<u8>>),
}

impl Reply {
    pub(super) fn number(self) -> Result<i64, Failure> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(_) | Self::Bytes(_) => Err(Failure::Protocol("no number")),
        }
    }

    pub(super) fn bytes(self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Text(_) | Self::Number(_) => Err(Failure::Protocol("no value")),
        }
    }
}

pub(super) struct Connection<S> {
    stream: BufReader<S>,
}

impl<S: Stream> Connection<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(super) async fn execute(&mut self, command: &[&[u8]]) -> Result<Reply, Failure> {
        let mut request = format!("*{}\r\n", command.len()).into_bytes();
        for argument in command {
            request.extend(format!("${}\r\n", argument.len()).into_bytes());
            request.extend_from_slice(argument);
            request.extend(b"\r\n");
        }
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply, Failure> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let line = line.strip_suffix("\r\n").ok_or(Failure::Protocol("a line without an end"))?;
        let number = |text: &str| text.parse::<i64>().map_err(|_| Failure::Protocol("a number that is none"));
        match line.split_at_checked(1) {
            Some(("+", text)) => Ok(Reply::Text(text.to_owned())),
            Some(("-", text)) => Err(Failure::Refused(text.to_owned())),
            Some((":", text)) => Ok(Reply::Number(number(text)?)),
            Some(("$", "-1")) => Ok(Reply::Bytes(None)),
            Some(("$", text)) => self.value(number(text)?).await.map(|bytes| Reply::Bytes(Some(bytes))),
            _ => Err(Failure::Protocol("a reply of another kind")),
        }
    }

    async fn value(&mut self, len: i64) -> Result<Vec<u8>, Failure> {
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_LEN);
        let mut bytes = vec![0; len.ok_or(Failure::Protocol("a length that cannot be"))? + 2];
        self.stream.read_exact(&mut bytes).await?;
        bytes.truncate(bytes.len() - 2);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    async fn reply_to(answer: &[u8]) -> (Result<Reply, Failure>, DuplexStream) {
        let (ours, mut theirs) = duplex(1_024);
        theirs.write_all(answer).await.unwrap();
        (Connection::new(ours).execute(&[b"GET", b"k\r\n"]).await, theirs)
    }

    #[tokio::test]
    async fn a_command_goes_out_with_its_lengths_and_a_value_comes_back_whole() {
        let (reply, mut theirs) = reply_to(b"$3\r\na\r\n\r\n").await;
        assert_eq!(reply.unwrap(), Reply::Bytes(Some(b"a\r\n".to_vec())));
        let mut sent = String::new();
        theirs.read_to_string(&mut sent).await.unwrap();
        assert_eq!(sent, "*2\r\n$3\r\nGET\r\n$3\r\nk\r\n\r\n");
    }

    #[tokio::test]
    async fn what_is_missing_is_told_from_what_is_empty() {
        assert_eq!(reply_to(b"$-1\r\n").await.0.unwrap(), Reply::Bytes(None));
        assert_eq!(reply_to(b"$0\r\n\r\n").await.0.unwrap(), Reply::Bytes(Some(Vec::new())));
    }

    #[tokio::test]
    async fn refusals_and_nonsense_are_errors() {
        let refused = reply_to(b"-NOPERM no\r\n").await.0.unwrap_err();
        assert_eq!(refused.to_string(), "the server refused: NOPERM no");
        for nonsense in ["$-2\r\n", "$999999999999\r\n", ":x\r\n", "?\r\n", "\r\n"] {
            let error = reply_to(nonsense.as_bytes()).await.0.unwrap_err();
            assert!(matches!(error, Failure::Protocol(_)), "{nonsense:?}: {error}");
        }
    }
}
