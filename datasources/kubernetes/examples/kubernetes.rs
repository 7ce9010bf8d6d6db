//! Puts the rules of a namespace in force, and shows once a second how many of twenty calls pass.
//!
//! With any cluster, and the kinds installed:
//!
//! ```sh
//! cargo run --package sentinel-kit-kubernetes --bin sentinel-crds | kubectl apply -f -
//! cargo run --package sentinel-kit-kubernetes --example kubernetes -- ~/.kube/config default
//! ```
//!
//! And beside it, while it runs:
//!
//! ```sh
//! rules() {
//!     echo '{"apiVersion": "datasource.sentinel.io/v1alpha1", "kind": "FlowRules", "metadata": {"name": "orders"},
//!            "spec": {"rules": [{"resource": "orders", "threshold": '"$1"'}]}}' | kubectl apply -f -
//! }
//! rules 3                            # 3 calls a second pass
//! rules 5                            # 5
//! rules -5                           # refused by the server; still 5
//! kubectl get sentinel               # what became of them
//! kubectl delete flowrules orders    # all pass
//! ```

use std::{env, error::Error, time::Duration};

use sentinel_core::Sentinel;
use sentinel_kubernetes::{Access, Datasource, KubernetesSource};

const CALLS: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(kubeconfig), Some(namespace)) = (arguments.next(), arguments.next()) else {
        return Err("usage: watch KUBECONFIG NAMESPACE".into());
    };
    let source = KubernetesSource::new(Access::kubeconfig(kubeconfig)).namespace(namespace);
    let sentinel = Sentinel::default();
    let watch = Datasource::new(source).start(&sentinel).await?;
    loop {
        let passed = (0..CALLS).filter(|_| sentinel.enter("orders").immediately().is_ok()).count();
        let status = watch.status();
        let error = status.last_error.map(|(_, error)| format!(", but {error}")).unwrap_or_default();
        println!("{passed} of {CALLS} calls pass; {:?}, {} rules{error}", status.state, status.rules);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
