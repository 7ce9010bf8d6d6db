//! The source against a server of its own, which misbehaves where it is told to.

mod access;
mod faults;
mod publishing;
mod subject;

use std::{process::ExitCode, time::Duration};

use sentinel_http::HttpSource;
use sentinel_testing::{http::HttpServer, observe::document, run, suite, trials};

use self::subject::Subject;

fn main() -> ExitCode {
    let own = trials![
        faults::what_is_the_same_is_not_sent_again,
        faults::a_server_without_tags_is_believed_its_dates_but_not_for_ever,
        faults::of_several_pages_all_are_in_force,
        faults::the_type_of_a_document_says_its_syntax,
        faults::a_server_is_left_alone_as_long_as_it_asks,
        faults::statuses_mean_what_they_say,
        faults::a_document_that_breaks_off_or_never_ends_changes_nothing,
        faults::no_more_is_read_than_a_document_may_have,
        faults::a_page_that_is_not_found_keeps_its_rules,
        access::each_kind_of_credentials_is_shown,
        access::a_secret_in_a_file_that_changes_is_taken_up,
        access::redirects_are_followed_on_the_same_server,
        access::credentials_never_go_to_another_server,
        access::a_server_that_nobody_trusts_gets_no_credentials,
        access::certificates_that_cannot_be_used_are_told_apart,
        access::certificates_that_change_are_taken_up,
        access::a_certificate_may_be_for_another_name,
        access::secrets_are_told_nowhere,
        publishing::what_is_published_says_how_it_is_written,
        publishing::a_server_without_tags_has_no_revisions,
        publishing::neither_a_denial_nor_a_redirect_is_taken_for_success,
    ];
    run(suite::all::<Subject>().into_iter().chain(own))
}

/// How often servers are asked here.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long is waited for what may take an attempt or two.
const LIMIT: Duration = Duration::from_secs(5);

/// A server that has rules with this threshold.
async fn server(threshold: u64) -> HttpServer {
    let server = HttpServer::start().await;
    server.serve("application/json", document(threshold));
    server
}

fn source(server: &HttpServer) -> HttpSource {
    HttpSource::new(server.url()).interval(INTERVAL)
}
