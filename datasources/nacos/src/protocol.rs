//! The messages: a kind and headers as protobuf, and a body of JSON in it.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

/// Where a request is sent that has one answer.
pub(crate) const REQUEST: &str = "/Request/request";
/// Where the server asks, and the client answers.
pub(crate) const PUSHES: &str = "/BiRequestStream/requestBiStream";

/// Answers of servers.
const SUCCESS: i32 = 200;
const NOT_FOUND: i32 = 300;
const UNREGISTERED: i32 = 301;
const BEING_WRITTEN: i32 = 400;
const DENIED: [i32; 2] = [401, 403];

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct Payload {
    #[prost(message, optional, tag = "2")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "3")]
    body: Option<Body>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct Metadata {
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(map = "string, string", tag = "7")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "8")]
    client_ip: String,
}

/// What protobuf calls `Any`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct Body {
    #[prost(string, tag = "1")]
    url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

impl Payload {
    pub(crate) fn new<M: Message>(
        message: &M,
        client_ip: &str,
        headers: HashMap<String, String>,
    ) -> Result<Self, serde_json::Error> {
        let value = serde_json::to_vec(message)?;
        Ok(Self::of(M::KIND.to_owned(), value, client_ip, headers))
    }

    fn of(kind: String, value: Vec<u8>, client_ip: &str, headers: HashMap<String, String>) -> Self {
        let metadata = Metadata { kind, headers, client_ip: client_ip.to_owned() };
        Self { metadata: Some(metadata), body: Some(Body { url: String::new(), value }) }
    }

    fn body(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], |body| &body.value)
    }

    pub(crate) fn answer(&self) -> Result<Answer, serde_json::Error> {
        serde_json::from_slice(self.body())
    }

    /// What the server asks for, and what it has to hear: that it was heard.
    pub(crate) fn push(&self, client_ip: &str) -> Result<(Push, Option<Self>), serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Asked {
            request_id: Option<String>,
        }

        let kind = self.metadata.as_ref().map_or("", |metadata| &metadata.kind);
        let push = match kind {
            "ConfigChangeNotifyRequest" => Push::Changed,
            "ConnectResetRequest" => Push::Leave,
            _ => Push::Other,
        };
        let Some(name) = kind.strip_suffix("Request") else { return Ok((push, None)) };
        let Asked { request_id } = serde_json::from_slice(self.body())?;
        let heard = serde_json::to_vec(&Heard { result_code: SUCCESS, error_code: 0, request_id })?;
        Ok((push, Some(Self::of(format!("{name}Response"), heard, client_ip, HashMap::new()))))
    }
}

impl fmt::Debug for Payload {
    /// Not the headers, in which there are tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.metadata.as_ref().map(|metadata| &metadata.kind);
        f.debug_struct("Payload").field("kind", &kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("bytes", &self.value.len()).finish_non_exhaustive()
    }
}

/// What the server wants of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// One of the data ids that are listened to is another now.
    Changed,
    /// They shall go to another server.
    Leave,
    /// To know that they are there.
    Other,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Heard {
    result_code: i32,
    error_code: i32,
    request_id: Option<String>,
}

/// What a client may say.
pub(crate) trait Message: Serialize {
    const KIND: &'static str;
}

#[derive(Serialize)]
pub(crate) struct ServerCheck {}

#[derive(Serialize)]
pub(crate) struct HealthCheck {}

/// The first message on the stream of pushes: registers the connection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Setup<'a> {
    pub(crate) client_version: &'static str,
    pub(crate) tenant: &'a str,
    pub(crate) labels: HashMap<&'static str, &'static str>,
}

/// Listens to data ids, and asks which of them are not as their checksums say.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listen<'a> {
    pub(crate) listen: bool,
    pub(crate) config_listen_contexts: Vec<Listened<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listened<'a> {
    pub(crate) data_id: &'a str,
    pub(crate) group: &'a str,
    pub(crate) tenant: &'a str,
    /// Empty for one that holds nothing.
    pub(crate) md5: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Query<'a> {
    pub(crate) data_id: &'a str,
    pub(crate) group: &'a str,
    pub(crate) tenant: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Write<'a> {
    pub(crate) data_id: &'a str,
    pub(crate) group: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) content: &'a str,
    /// The checksum of what has to be there for the write to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cas_md5: Option<&'a str>,
    pub(crate) addition_map: HashMap<&'static str, &'static str>,
}

impl Message for ServerCheck {
    const KIND: &'static str = "ServerCheckRequest";
}

impl Message for HealthCheck {
    const KIND: &'static str = "HealthCheckRequest";
}

impl Message for Setup<'_> {
    const KIND: &'static str = "ConnectionSetupRequest";
}

impl Message for Listen<'_> {
    const KIND: &'static str = "ConfigBatchListenRequest";
}

impl Message for Query<'_> {
    const KIND: &'static str = "ConfigQueryRequest";
}

impl Message for Write<'_> {
    const KIND: &'static str = "ConfigPublishRequest";
}

/// What servers answer: of all their answers together, what matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    #[serde(skip)]
    is_too_long: bool,
    result_code: i32,
    #[serde(default)]
    error_code: i32,
    pub(crate) message: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) md5: Option<String>,
    pub(crate) encrypted_data_key: Option<String>,
    pub(crate) changed_configs: Option<Vec<ChangedConfig>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangedConfig {}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success,
    /// The data id holds nothing.
    NotFound,
    /// The server does not know the connection: not yet, or not any more.
    Unregistered,
    /// The data id cannot be read, as somebody is writing it.
    BeingWritten,
    /// What the server says is more than may be said.
    TooLong,
    Denied,
    Failed,
}

impl Answer {
    /// One that was not read.
    pub(crate) fn too_long(message: &str) -> Self {
        Self { is_too_long: true, message: Some(message.to_owned()), ..Self::default() }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.error_code {
            _ if self.is_too_long => Verdict::TooLong,
            _ if self.result_code == SUCCESS => Verdict::Success,
            NOT_FOUND => Verdict::NotFound,
            UNREGISTERED => Verdict::Unregistered,
            BEING_WRITTEN => Verdict::BeingWritten,
            code if DENIED.contains(&code) || DENIED.contains(&self.result_code) => Verdict::Denied,
            _ => Verdict::Failed,
        }
    }

    /// Why it is no success.
    pub(crate) fn words(&self) -> String {
        let code = if self.error_code == 0 { self.result_code } else { self.error_code };
        match self.message.as_deref().map(str::trim) {
            Some(message) if self.is_too_long => message.to_owned(),
            Some(message) if !message.is_empty() => format!("{message} (code {code})"),
            _ => format!("code {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: &str, body: &str) -> Payload {
        Payload::of(kind.to_owned(), body.as_bytes().to_vec(), "", HashMap::new())
    }

    fn answer(body: &str) -> Answer {
        asked("ConfigQueryResponse", body).answer().unwrap()
    }

    #[test]
    fn a_request_has_a_kind_and_is_written_in_camel_case() {
        let headers = HashMap::from([("accessToken".to_owned(), "hunter2".to_owned())]);
        let payload = Payload::new(&Query { data_id: "rules", group: "g", tenant: "" }, "10.0.0.1", headers).unwrap();
        assert_eq!(payload.body(), br#"{"dataId":"rules","group":"g","tenant":""}"#);
        let shown = format!("{payload:?} {:?} {:?}", payload.metadata, payload.body);
        assert!(shown.contains("ConfigQueryRequest") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_servers_ask_is_answered_under_the_name_and_number_of_the_question() {
        let notice = asked("ConfigChangeNotifyRequest", r#"{"requestId": "7", "dataId": "rules", "headers": {}}"#);
        let (push, heard) = notice.push("10.0.0.1").unwrap();
        assert_eq!(push, Push::Changed);
        let heard = heard.unwrap();
        assert_eq!(heard.metadata.as_ref().unwrap().kind, "ConfigChangeNotifyResponse");
        assert_eq!(heard.body(), br#"{"resultCode":200,"errorCode":0,"requestId":"7"}"#);

        let (push, heard) = asked("ClientDetectionRequest", "{}").push("").unwrap();
        assert_eq!((push, heard.unwrap().metadata.unwrap().kind.as_str()), (Push::Other, "ClientDetectionResponse"));
        assert_eq!(asked("ConnectResetRequest", "{}").push("").unwrap().0, Push::Leave);
        assert_eq!(asked("ErrorResponse", "{}").push("").unwrap(), (Push::Other, None));
        assert!(asked("ClientDetectionRequest", "").push("").is_err());
    }

    #[test]
    fn answers_are_told_apart_by_their_codes_and_may_leave_out_or_have_null_for_the_rest() {
        let found = answer(r#"{"resultCode": 200, "errorCode": 0, "content": "{}", "md5": "c", "message": null}"#);
        assert_eq!(
            (found.verdict(), found.content.as_deref(), found.md5.as_deref()),
            (Verdict::Success, Some("{}"), Some("c"))
        );
        let verdict = |code| answer(&format!(r#"{{"resultCode": 500, "errorCode": {code}}}"#)).verdict();
        assert_eq!(
            [300, 301, 400, 401, 403, 500].map(verdict),
            [
                Verdict::NotFound,
                Verdict::Unregistered,
                Verdict::BeingWritten,
                Verdict::Denied,
                Verdict::Denied,
                Verdict::Failed
            ],
        );
        assert_eq!(answer(r#"{"resultCode": 403}"#).verdict(), Verdict::Denied);
        assert_eq!(answer(r#"{"resultCode": 500, "errorCode": 403, "message": "no "}"#).words(), "no (code 403)");
        assert_eq!(answer(r#"{"resultCode": 500}"#).words(), "code 500");
    }
}
