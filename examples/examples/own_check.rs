//! A check and an observer of one's own: `cargo run --example own_check`.
//!
//! Each tenant has a budget of calls at a time, whatever it calls. No rule says that: rules are about one resource.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use sentinel_core::{
    Attempt, Blocked, Call, CheckAnswer, CustomCheck, Ended, FlowRule, Held, Observer, Position, Refusal, Rules,
    Sentinel,
};

/// Calls that each tenant has open.
type Open = Arc<Mutex<HashMap<String, u32>>>;

/// The check: at most so many calls at a time for each tenant.
struct Budget {
    open: Open,
    limit: u32,
}

/// What a call holds of its tenant's budget; dropping it gives that back, whether the call ran or was refused elsewhere.
struct Share {
    open: Open,
    tenant: String,
}

impl CustomCheck for Budget {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn check(&self, attempt: &Attempt<'_>) -> CheckAnswer {
        let tenant = attempt.call.caller();
        if tenant.is_empty() {
            return CheckAnswer::Pass;
        }
        let mut all = self.open.lock();
        let open = all.entry(tenant.to_owned()).or_default();
        if *open >= self.limit {
            let refusal = Refusal::new().seen((*open).into(), self.limit.into());
            return refusal.retry_after(Duration::from_millis(10)).into();
        }
        *open += 1;
        CheckAnswer::hold(Share { open: Arc::clone(&self.open), tenant: tenant.to_owned() })
    }

    fn explain(&self, refusal: &Refusal, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} calls of the tenant are open", refusal.observed, refusal.threshold)
    }
}

impl Held for Share {}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.open.lock();
        if let Some(open) = all.get_mut(&self.tenant) {
            *open -= 1;
            // A tenant without open calls takes no memory.
            if *open == 0 {
                all.remove(&self.tenant);
            }
        }
    }
}

/// The observer: writes down who was refused, and which calls failed.
struct Log;

impl Observer for Log {
    fn blocked(&self, attempt: &Attempt<'_>, blocked: &Blocked) {
        println!("{:>8}: refused, {blocked}", attempt.call.caller());
    }

    fn ended(&self, ended: &Ended<'_>) {
        println!("          `{}` ended: {:?}", ended.resource.name, ended.outcome);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let open = Open::default();
    let sentinel = Sentinel::builder()
        // Before flow, so that who is over budget does not use up what others may call.
        .check(Position::Before("flow"), Budget { open: Arc::clone(&open), limit: 2 })
        .observer(Log)
        .build()?;
    sentinel.rules().replace("code", Rules::new().flow([FlowRule::new("export", 3.0)]))?;

    let enter = |tenant, resource: &'static str| {
        let entered = sentinel.enter_with(resource, &Call::new().origin(tenant)).immediately();
        if entered.is_ok() {
            println!("{tenant:>8}: in `{resource}`");
        }
        entered
    };
    let mut inside = vec![enter("acme", "export")?, enter("acme", "search")?];
    assert!(enter("acme", "search").is_err(), "acme has two calls open");
    inside.extend([enter("globex", "export")?, enter("initech", "export")?]);
    assert!(enter("globex", "export").is_err(), "the flow rule lets three in, and globex gets its share back");
    inside.push(enter("globex", "search")?);
    drop(inside);
    assert!(open.lock().is_empty(), "everything came back");
    Ok(())
}
