use http::Uri;
use sentinel_datasource::{Address, Cause, Secret, SourceError, Tls};

use crate::login::Account;

/// How far the port of gRPC is from that of HTTP, where nobody says otherwise.
const GRPC: u16 = 1_000;

/// How servers are reached, and as whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) namespace: String,
    pub(crate) user: Option<(String, Secret)>,
    pub(crate) tls: Option<Tls>,
    pub(crate) grpc_port: Option<u16>,
    pub(crate) login_url: Option<Result<Uri, SourceError>>,
}

impl Access {
    /// Where a server speaks gRPC.
    pub(crate) fn grpc_server(&self, server: &Address) -> Result<Address, SourceError> {
        let port = self.grpc_port.or_else(|| server.port.checked_add(GRPC));
        let port = port.ok_or_else(|| SourceError::Setting {
            setting: "the server's address",
            cause: Cause::text(format!("`{server}` leaves no room for the port of gRPC, {GRPC} above")),
        })?;
        Ok(Address { host: server.host.clone(), port })
    }

    /// Who logs in, if anybody does.
    pub(crate) fn account(&self, server: &Address) -> Result<Option<Account>, SourceError> {
        let Some((user, password)) = &self.user else { return Ok(None) };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = self.login_url.clone().unwrap_or_else(|| login_url(&format!("{scheme}://{server}/nacos")))?;
        Ok(Some(Account { user: user.clone(), password: password.clone(), url, tls: self.tls.clone() }))
    }
}

/// Reads the address to log in at; not one with a password, which would be shown.
pub(crate) fn login_url(text: &str) -> Result<Uri, SourceError> {
    let wrong = |cause| SourceError::Setting { setting: "the address to log in at", cause };
    let url: Uri = text.parse().map_err(|error: http::uri::InvalidUri| wrong(error.into()))?;
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err(wrong(Cause::text("a name and a password do not belong into it")))
        }
        _ => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16) -> Address {
        Address { host: "::1".to_owned(), port }
    }

    #[test]
    fn the_port_of_grpc_is_a_thousand_above_unless_it_is_given() {
        let grpc = |access: Access, port| access.grpc_server(&server(port)).map(|server| server.port);
        assert_eq!(grpc(Access::default(), 8848).unwrap(), 9848);
        assert!(grpc(Access::default(), 65_000).unwrap_err().to_string().contains("`[::1]:65000`"));
        let given = Access { grpc_port: Some(7), ..Access::default() };
        assert_eq!(grpc(given, 65_000).unwrap(), 7);
    }

    #[test]
    fn a_user_logs_in_at_the_server_itself_unless_another_place_is_given() {
        let url = |access: Access| access.account(&server(8848)).unwrap().map(|account| account.url.to_string());
        assert_eq!(url(Access::default()), None);
        let plain = Access { user: Some(("app".to_owned(), "pw".into())), ..Access::default() };
        assert_eq!(url(plain.clone()).unwrap(), "http://[::1]:8848/nacos");
        assert_eq!(url(Access { tls: Some(Tls::new()), ..plain.clone() }).unwrap(), "https://[::1]:8848/nacos");
        let elsewhere = Access { login_url: Some(login_url("https://login.example/n")), ..plain };
        assert_eq!(url(elsewhere).unwrap(), "https://login.example/n");
    }
}
