//! Models of calls that end while others do, or while the counts are taken.

use loom::{sync::Arc, thread};

use super::Tally;

#[test]
fn one_of_many_errors_completes_a_row() {
    loom::model(|| {
        let tally = Arc::new(Tally::default());
        let others = [(); 2].map(|()| {
            let tally = Arc::clone(&tally);
            thread::spawn(move || tally.fail(3))
        });
        let mut whole = u32::from(tally.fail(3));
        whole += others.into_iter().map(|other| u32::from(other.join().expect("it does not panic"))).sum::<u32>();
        assert_eq!((whole, tally.errors_in_a_row()), (1, 0));
    });
}

#[test]
fn every_call_is_taken_once() {
    loom::model(|| {
        let tally = Arc::new(Tally::default());
        let other = thread::spawn({
            let tally = Arc::clone(&tally);
            move || {
                tally.succeed();
                tally.fail(5);
            }
        });
        let (first, first_errors) = tally.take();
        assert!(first_errors <= first);
        other.join().expect("it does not panic");
        let (second, second_errors) = tally.take();
        assert_eq!((first + second, first_errors + second_errors), (2, 1));
    });
}
