//! A small number for each live thread.
//!
//! # The one `static` with state
//!
//! A number belongs to a thread, and threads belong to the process, not to an instance: were it kept by each instance,
//! every call would have to look up its own instance in a thread-local map first. Nothing but these numbers is shared
//! through it, and no instance can learn anything of another from them.

/// Stands for "no number": the thread has not asked for one, or has already given it back.
pub(crate) const NONE: usize = usize::MAX;

#[cfg(all(test, loom))]
pub(crate) use fixed::set_number;
#[cfg(loom)]
pub(crate) use fixed::{number, owners, register};
#[cfg(not(loom))]
pub(crate) use numbers::{number, owners, register};

#[cfg(not(loom))]
mod numbers {
    use std::{cell::Cell, collections::BTreeSet};

    use super::NONE;

    /// After the thread's number was given back.
    const ENDED: usize = NONE - 1;

    struct Pool {
        /// Numbers below `next` that no live thread has.
        free: BTreeSet<usize>,
        next: usize,
        /// How many threads own stripes, once somebody has asked: finding out takes system calls.
        owners: Option<usize>,
    }

    static POOL: parking_lot::Mutex<Pool> =
        parking_lot::Mutex::new(Pool { free: BTreeSet::new(), next: 0, owners: None });

    thread_local! {
        // Without a destructor, so that reading it is one load.
        static NUMBER: Cell<usize> = const { Cell::new(NONE) };
        static GIVE_BACK: GiveBack = const { GiveBack };
    }

    struct GiveBack;

    impl Drop for GiveBack {
        fn drop(&mut self) {
            let number = NUMBER.replace(ENDED);
            if number < ENDED {
                POOL.lock().free.insert(number);
            }
        }
    }

    /// The number of this thread, if [`register`] was called; otherwise something that is no one's number.
    #[inline]
    pub(crate) fn number() -> usize {
        NUMBER.get()
    }

    /// The number of this thread: the smallest that no other live thread has.
    ///
    /// The smallest, so that short-lived threads do not push long-lived ones to high numbers. [`NONE`] when the thread
    /// is ending and has given its number back.
    ///
    /// # Why this is correct
    ///
    /// A number goes from one thread to the next through the mutex of the pool: given back at the end of one, taken
    /// at the registration of the other. So no two live threads have the same, and whatever one did under its number
    /// happened before what the next does under it.
    pub(crate) fn register() -> usize {
        match NUMBER.get() {
            NONE => {}
            ENDED => return NONE,
            number => return number,
        }
        if GIVE_BACK.try_with(|_| ()).is_err() {
            NUMBER.set(ENDED);
            return NONE;
        }
        let mut pool = POOL.lock();
        let number = pool.free.pop_first().unwrap_or_else(|| {
            pool.next += 1;
            pool.next - 1
        });
        drop(pool);
        NUMBER.set(number);
        number
    }

    /// How many threads, those with the lowest numbers, have counters of their own: twice as many as the machine runs
    /// at once, rounded up to a power of two, from 4 to 64.
    pub(crate) fn owners() -> usize {
        *POOL.lock().owners.get_or_insert_with(|| {
            let parallel = std::thread::available_parallelism().map_or(2, usize::from);
            (2 * parallel).next_power_of_two().clamp(4, 64)
        })
    }
}

/// In models the thread says which number it has.
#[cfg(loom)]
mod fixed {
    use std::cell::Cell;

    use super::NONE;

    loom::thread_local! {
        static NUMBER: Cell<usize> = Cell::new(NONE);
    }

    #[cfg(test)]
    pub(crate) fn set_number(number: usize) {
        NUMBER.with(|own| own.set(number));
    }

    pub(crate) fn number() -> usize {
        NUMBER.with(Cell::get)
    }

    pub(crate) fn register() -> usize {
        number()
    }

    pub(crate) fn owners() -> usize {
        1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{cell::RefCell, collections::HashSet, sync::Barrier, thread};

    use super::{NONE, register};

    #[test]
    fn live_threads_have_different_numbers() {
        let barrier = Barrier::new(16);
        let numbers: HashSet<usize> = thread::scope(|scope| {
            let register_together = || {
                let number = register();
                barrier.wait();
                number
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(register_together)).collect();
            threads.into_iter().map(|thread| thread.join().expect("the thread does not panic")).collect()
        });
        assert_eq!(numbers.len(), 16);
    }

    #[test]
    fn a_thread_keeps_its_number() {
        assert_eq!(register(), register());
        assert_eq!(register(), super::number());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may have threads")]
    fn numbers_of_ended_threads_are_used_again() {
        // Other tests run beside this one, so single numbers cannot be foretold, only that they stay small.
        let largest = (0..1_000).map(|_| thread::spawn(register).join().expect("the thread does not panic")).max();
        assert!(largest < Some(500), "{largest:?}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test may have threads")]
    fn a_destructor_that_runs_after_the_number_was_given_back_gets_none() {
        struct AsksLate(std::sync::mpsc::Sender<(usize, usize)>);
        impl Drop for AsksLate {
            fn drop(&mut self) {
                let _ = self.0.send((super::number(), register()));
            }
        }
        thread_local!(static LATE: RefCell<Option<AsksLate>> = const { RefCell::new(None) });

        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            // Destructors run in an order that is not specified; whichever it is, the answer must be usable.
            LATE.set(Some(AsksLate(sender)));
            register()
        });
        let (looked_up, registered) = receiver.recv().expect("the destructor ran");
        assert!(registered == NONE && looked_up >= NONE - 1 || registered == looked_up);
    }
}
