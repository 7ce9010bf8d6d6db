//! The source against a real agent.

mod access;
mod publishing;
mod subject;
mod watching;

use std::{process::ExitCode, time::Duration};

use sentinel_consul::ConsulSource;
use sentinel_testing::{
    observe::document,
    run,
    servers::{Account, Consul, ConsulOptions, Server as _, Unavailable},
    suite, trials,
};

use self::subject::Subject;

fn main() -> ExitCode {
    let own = trials![
        watching::several_keys_are_in_force_together,
        watching::an_agent_that_has_nothing_to_tell_is_asked_seldom,
        watching::a_missing_key_is_waited_for_whatever_others_do,
        watching::an_agent_that_stalls_is_noticed_after_its_time,
        watching::a_store_that_is_put_back_is_read_again,
        watching::keys_of_all_kinds_are_read,
        watching::what_is_no_consul_is_not_taken_for_one,
        access::only_a_token_that_may_read_the_key_is_let_in,
        access::a_token_that_is_taken_away_is_noticed,
        publishing::what_is_published_is_held_as_it_was_encoded,
        publishing::what_is_no_index_is_no_revision,
        publishing::what_is_larger_than_the_agent_takes_is_an_error,
    ];
    run(suite::all::<Subject>().into_iter().chain(own))
}

const KEY: &str = "sentinel/rules";

/// How long is waited for what may take an attempt or two.
const LIMIT: Duration = Duration::from_secs(5);

/// A server with access control whose key holds rules with this threshold.
async fn server(threshold: u64) -> Result<Consul, Unavailable> {
    let server = Consul::start(ConsulOptions { auth: true, ..ConsulOptions::default() }).await?;
    server.put(KEY, document(threshold).as_bytes()).await.unwrap();
    Ok(server)
}

fn source(server: &Consul) -> ConsulSource {
    ConsulSource::new(server.endpoint(), KEY).token(Account::WRITER.secret.into())
}
