//! What every datasource has to stand, with etcd 3.5, over TLS.

mod support;

use std::process::ExitCode;

use sentinel_testing::suite;

fn main() -> ExitCode {
    sentinel_testing::run(suite::trials::<support::OnEtcd<true>>())
}
