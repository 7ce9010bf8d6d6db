//! The source against a real API server.

mod cluster;
#[path = "../conditions/mod.rs"]
mod conditions;
mod objects;
mod pod;
mod rights;
mod schema;
mod status;
mod subject;

use std::process::ExitCode;

use sentinel_testing::{Trial, run, suite, trials};

fn main() -> ExitCode {
    if let Some(lived) = pod::live() {
        return lived;
    }
    let suite = suite::trials::<subject::Orders>();
    run(suite.into_iter().chain(own()))
}

fn own() -> Vec<Trial> {
    trials![
        objects::objects_are_selected_by_namespace_name_label_and_kind,
        objects::of_two_objects_with_a_rule_of_the_same_name_the_later_one_is_told_so,
        objects::kinds_and_namespaces_that_appear_later_are_followed_then,
        objects::a_line_that_is_dead_is_noticed_without_reading,
        objects::what_the_server_has_forgotten_is_read_again,
        objects::rules_that_are_published_are_in_force_and_nobody_overwrites_what_they_have_not_seen,
        rights::the_printed_roles_are_enough_and_no_more,
        rights::without_the_right_to_write_status_rules_are_in_force,
        rights::a_token_that_expires_is_denied_until_its_file_has_another,
        rights::a_server_whose_certificate_nobody_trusts_gets_no_token,
        rights::a_client_certificate_is_as_good_as_a_token_and_is_read_anew,
        rights::a_kubeconfig_is_enough_and_its_secrets_are_in_no_log,
        pod::a_pod_is_told_nothing_and_finds_the_rules_of_its_namespace,
        schema::the_published_examples_apply_unchanged_and_are_in_force,
        schema::wrong_rules_are_refused_with_the_field_and_what_it_may_be,
        schema::rules_whose_fields_disagree_are_refused_by_the_server_or_else_by_the_service,
        schema::what_is_printed_applies_and_is_known_by_its_columns,
        status::objects_say_what_became_of_their_rules,
        status::of_many_services_that_watch_an_object_few_write_its_status,
        status::services_that_disagree_do_not_go_on_contradicting_each_other,
    ]
}
