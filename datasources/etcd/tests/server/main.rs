//! What every datasource has to stand, with the etcd of this machine, and what etcd alone has.

mod access;
mod faults;
mod keys;
mod publish;
mod subject;

use std::process::ExitCode;

use sentinel_testing::{Trial, run, suite, trials};

use self::subject::OnEtcd;

fn main() -> ExitCode {
    let newer = [suite::trials::<OnEtcd<true>>(), suite::publishing::<OnEtcd<true>>()].into_iter().flatten();
    let newer = newer.map(|trial| trial.kind("3.5"));
    run(suite::all::<OnEtcd<false>>().into_iter().chain(newer).chain(own()))
}

/// Those of etcd alone.
fn own() -> Vec<Trial> {
    trials![
        access::only_those_who_may_read_the_keys_are_let_in,
        access::a_password_that_was_changed_under_a_connection_leads_to_a_new_one,
        access::certificates_that_were_renewed_are_taken_up,
        keys::several_keys_and_those_below_a_prefix_are_in_force_together,
        keys::a_key_that_is_too_large_is_not_read_and_holds_up_no_other,
        keys::keys_are_read_in_one_state_and_only_when_they_have_changed,
        keys::more_keys_than_a_transaction_may_have_are_read,
        faults::a_member_that_is_gone_or_silent_is_passed_over,
        faults::a_server_that_falls_silent_is_noticed_without_being_read,
        faults::a_connection_to_a_silent_server_ends_with_all_its_tasks,
        faults::a_watch_that_falls_behind_what_is_forgotten_goes_on,
        faults::a_quiet_connection_is_kept,
        faults::patience_may_be_as_long_as_one_likes_to_say,
        publish::what_a_watch_has_read_is_a_revision_of_all_its_keys,
        publish::what_is_no_number_is_no_revision,
    ]
}
