//! The source against real servers: what every source has to stand, and what is special to ZooKeeper.

mod access;
mod changes;
mod publish;
mod subject;

use std::process::ExitCode;

use sentinel_testing::{run, suite, trials};

use self::subject::Subject;

fn main() -> ExitCode {
    let own = trials![
        access::who_may_not_read_a_node_is_denied,
        changes::several_nodes_are_in_force_together_and_each_keeps_its_last_good_rules,
        changes::a_node_whose_parents_are_missing_is_in_force_once_it_is_made,
        changes::of_several_servers_one_that_is_there_is_enough,
        changes::a_server_that_says_nothing_is_left,
        changes::a_session_ends_with_its_watch,
        changes::a_server_that_announces_too_much_is_not_listened_to,
        publish::what_is_published_is_in_force_and_nodes_on_the_way_are_made,
        publish::what_is_made_under_a_certificate_is_for_its_owner_alone,
        publish::a_certificate_that_the_server_does_not_ask_for_owns_nothing,
        publish::who_may_not_make_a_node_is_denied,
    ];
    run(suite::all::<Subject>().into_iter().chain(own))
}
