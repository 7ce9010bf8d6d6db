//! The source against real servers: what every source has to stand, and what is special to Redis.

mod access;
mod changes;
mod publish;
mod subject;

use std::process::ExitCode;

use sentinel_testing::{run, suite, trials};

use self::subject::Subject;

fn main() -> ExitCode {
    let own = trials![
        access::who_may_not_read_a_key_or_logs_in_as_nobody_is_denied,
        access::the_rights_that_are_written_down_are_all_that_it_takes,
        access::one_who_is_thrown_out_is_denied_and_let_in_again,
        access::an_old_server_is_told_from_others_and_no_password_with_it,
        changes::keys_that_expire_or_are_flushed_are_missed,
        changes::several_keys_are_in_force_together_and_each_keeps_its_last_good_rules,
        changes::a_key_that_holds_no_text_changes_nothing_and_is_named,
        changes::a_key_is_that_of_its_database,
        changes::a_user_who_is_told_nothing_looks_again_and_again,
        changes::events_of_keys_make_it_sooner_for_a_user_who_is_told_nothing,
        changes::messages_on_a_channel_make_it_sooner_for_a_user_who_is_told_nothing,
        changes::of_a_connection_that_is_reset_the_reason_is_told,
        changes::a_server_that_says_nothing_is_left,
        publish::what_is_published_is_in_force_here_and_told_on_the_channel,
        publish::who_may_not_tell_of_a_write_does_not_make_it,
    ];
    run(suite::all::<Subject>().into_iter().chain(own))
}
