//! Against a real server, over lines that break.

use std::process::ExitCode;

use sentinel_testing::{run, suite, trials};

mod access;
mod encryption;
mod ids;
mod login;
mod publish;
mod subject;
mod support;

use self::subject::Nacos;

fn main() -> ExitCode {
    let own = trials![
        access::who_logs_in_as_nobody_is_denied,
        access::when_one_server_goes_the_next_is_asked,
        access::a_connection_on_which_nothing_happens_is_kept,
        encryption::where_the_rules_come_from_is_looked_at_wherever_the_login_is,
        ids::what_the_dashboard_publishes_is_followed,
        ids::several_data_ids_of_a_group_and_a_namespace_are_one_source,
        ids::what_is_far_too_large_is_not_even_received,
        login::a_token_is_renewed_before_it_is_too_old,
        login::servers_before_version_3_give_tokens_elsewhere,
        login::what_is_wrong_with_a_login_is_told_without_secrets,
        publish::the_data_id_says_how_rules_are_written,
        publish::documents_of_the_dashboard_are_written_as_well,
        publish::neither_a_stranger_nor_a_silent_second_port_is_waited_for,
    ];
    run(suite::all::<Nacos>().into_iter().chain(own))
}
