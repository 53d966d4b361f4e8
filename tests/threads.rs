//! What crosses threads, under a model checker: `loom` runs these files of the product through every order in which threads may take turns.
//!
//! The files are mounted here as they are. They name channels, counters and locks as `super::sync`, which is the standard library's in
//! the product and loom's here, so that what is checked is what runs. A thread that is overlooked shows as a deadlock.

#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test may panic")]

#[allow(unreachable_pub, reason = "in its room it is the door that makes it public")]
#[path = "../src/vault/buffers.rs"]
mod buffers;
#[path = "../src/node/inbox.rs"]
mod inbox;
#[path = "../src/node/queue.rs"]
mod queue;

use std::time::Duration;

use loom::thread;
// What the mounted files name as `crate::limits`.
use mitschnitt::limits;

use crate::bell::Bell;
use crate::buffers::Buffers;
use crate::inbox::{Inbox, Woken, inbox};
use crate::queue::{Taker, bounded};
use crate::sync::mpsc;

/// What the takers wait with; the channel below knows no time-out.
const PATIENCE: Duration = Duration::from_secs(60);

// ── the queue: to the disk, to the ledger ──────────────────────────────────────────────────────────────────────────

#[test]
fn no_more_wait_than_the_bound_allows_however_many_give() {
    explore(|| {
        mpsc::forget_the_longest();
        let (giver, taker) = bounded(1);
        let givers = [giver.clone(), giver].map(|giver| thread::spawn(move || giver.give(()).is_ok()));

        let taken = all(&taker);

        let accepted = givers.into_iter().filter_map(|giver| giver.join().unwrap().then_some(()));
        assert_eq!(taken, accepted.collect::<Vec<_>>());
        assert_eq!(mpsc::longest(), 1);
    });
}

#[test]
fn what_is_accepted_is_taken_once_and_in_order_and_what_is_refused_comes_back() {
    explore(|| {
        let (giver, taker) = bounded(2);
        let givers = [(giver.clone(), vec![10, 11]), (giver, vec![20])].map(|(giver, items)| {
            thread::spawn(move || {
                let mut accepted = Vec::new();
                for item in items {
                    match giver.give(item) {
                        Ok(()) => accepted.push(item),
                        Err(refused) => assert_eq!(refused, item),
                    }
                }
                accepted
            })
        });

        let taken = all(&taker);

        let [one, two] = givers.map(|giver| giver.join().unwrap());
        assert!(one.len() + two.len() >= 2, "there were two places");
        assert_eq!(taken.len(), one.len() + two.len());
        assert_eq!(taken.iter().copied().filter(|item| *item < 20).collect::<Vec<_>>(), one);
        assert_eq!(taken.iter().copied().filter(|item| *item >= 20).collect::<Vec<_>>(), two);
        assert_eq!(taker.waiting(), 0, "every place is free again");
    });
}

#[test]
fn an_end_finds_a_place_in_a_full_queue_and_comes_after_what_was_given_before() {
    explore(|| {
        let (giver, taker) = bounded(1);
        let other = giver.clone();
        let other = thread::spawn(move || other.give_beyond(29).unwrap());
        let disk = thread::spawn(move || all(&taker));

        let is_in = giver.give(10).is_ok();
        giver.give_beyond(19).unwrap();
        drop(giver);

        other.join().unwrap();
        let taken = disk.join().unwrap();
        let own: Vec<_> = taken.iter().copied().filter(|item| *item < 20).collect();
        assert_eq!(own, if is_in { vec![10, 19] } else { vec![19] });
        assert_eq!(taken.len(), own.len() + 1);
    });
}

#[test]
fn a_place_is_free_once_its_item_was_taken() {
    explore(|| {
        let (giver, taker) = bounded(1);
        giver.give(1).unwrap();
        let other = giver.clone();
        let other = thread::spawn(move || other.give(2));

        assert_eq!(taker.take(1, PATIENCE).unwrap(), [1]);
        // Before the place was free, or after.
        let is_in = other.join().unwrap().is_ok();

        assert_eq!(giver.give(3).is_ok(), !is_in);
        drop(giver);
        assert_eq!(all(&taker), [if is_in { 2 } else { 3 }]);
    });
}

#[test]
fn with_nobody_left_to_take_everything_comes_back() {
    explore(|| {
        let (giver, taker) = bounded(1);
        let gone = thread::spawn(move || drop(taker));

        let before = [giver.give(1), giver.give_beyond(2)];
        gone.join().unwrap();

        assert!(before.iter().zip([1, 2]).all(|(given, item)| given.is_ok() || *given == Err(item)));
        assert_eq!(giver.give(3), Err(3));
        assert_eq!(giver.give_beyond(4), Err(4));
    });
}

// ── the inbox: from signalling to a media thread ───────────────────────────────────────────────────────────────────

#[test]
fn an_order_is_done_without_another_wake_than_its_own() {
    explore(|| {
        let (post, orders) = inbox(Bell::new());
        let signalling = thread::spawn(move || {
            post.send(1).unwrap();
            post.ring();
            post.send(2).unwrap();
            post.ring();
            // It never goes away in this test: its end would be one more wake.
            post
        });

        let mut done = Vec::new();
        while done.len() < 2 {
            orders.bell().wait();
            assert!(orders.take(Woken::ByBell, |order| done.push(order)));
        }

        assert_eq!(done, [1, 2]);
        drop(signalling.join().unwrap());
    });
}

#[test]
fn a_thread_that_packets_wake_as_well_overlooks_no_order() {
    explore(|| {
        let (post, orders) = inbox(Bell::new());
        let signalling = thread::spawn(move || {
            post.send(1).unwrap();
            post.send(2).unwrap();
            post.ring();
            post
        });

        let mut done = Vec::new();
        // A packet woke it: it looks at its orders all the same, and may see one before the bell rings for it.
        assert!(orders.take(Woken::Otherwise, |order| done.push(order)));
        while done.len() < 2 {
            orders.bell().wait();
            assert!(orders.take(Woken::ByBell, |order| done.push(order)));
        }

        assert_eq!(done, [1, 2]);
        drop(signalling.join().unwrap());
    });
}

#[test]
fn a_thread_ends_once_its_post_is_dropped_and_all_is_done() {
    explore(|| {
        let (post, orders) = inbox(Bell::new());
        let thread = thread::spawn(move || until_the_end(&orders));

        post.send(1).unwrap();
        post.ring();
        post.send(2).unwrap();
        drop(post);

        assert_eq!(thread.join().unwrap(), [1, 2]);
    });
}

#[test]
fn a_shutdown_reaches_the_disk_through_a_media_thread() {
    // As in node/run.rs: signalling drops its posts, a media thread gives each recording's end and drops its giver, the disk's taker ends.
    explore(|| {
        let (post, orders) = inbox(Bell::new());
        let (giver, taker) = bounded(1);
        let media = thread::spawn(move || {
            for order in until_the_end(&orders) {
                giver.give(order).unwrap();
            }
            giver.give_beyond(99).unwrap();
        });
        let disk = thread::spawn(move || all(&taker));

        post.send(1).unwrap();
        drop(post);

        media.join().unwrap();
        assert_eq!(disk.join().unwrap(), [1, 99]);
    });
}

// ── the buffers: from the disk back to a media thread ──────────────────────────────────────────────────────────────

#[test]
fn a_buffer_rests_wiped_and_is_handed_out_once() {
    explore(|| {
        let buffers = Buffers::new();
        buffers.give(voice(&buffers));
        let disk = {
            let (buffers, chunk) = (buffers.clone(), voice(&buffers));
            thread::spawn(move || buffers.give(chunk))
        };

        let (one, two) = (buffers.take(), buffers.take());

        for buffer in [&one, &two] {
            assert!(buffer.is_empty() && buffer.capacity() >= limits::CHUNK_BYTES);
        }
        assert_ne!(one.as_ptr(), two.as_ptr());
        disk.join().unwrap();
        buffers.give(one);
        assert!(buffers.resting().iter().flatten().all(|byte| *byte == 0), "a voice rests");
        assert!(buffers.resting().len() <= 2);
    });
}

fn voice(buffers: &Buffers) -> Vec<u8> {
    let mut buffer = buffers.take();
    buffer.extend(b"VOICE");
    buffer
}

// ── helpers ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Runs a scenario in every order of its threads with at most three switches that no thread asked for.
///
/// Without that bound the larger scenarios take hours; nearly every fault of this kind shows with two.
fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(scenario);
}

fn all<T>(taker: &Taker<T>) -> Vec<T> {
    std::iter::from_fn(|| taker.take(2, PATIENCE)).flatten().collect()
}

/// A media thread's loop.
fn until_the_end(orders: &Inbox<u32>) -> Vec<u32> {
    let mut done = Vec::new();
    loop {
        orders.bell().wait();
        if !orders.take(Woken::ByBell, |order| done.push(order)) {
            return done;
        }
    }
}

/// What the mounted files take from the standard library in the product.
mod sync {
    pub(crate) use loom::sync::{Arc, Mutex, atomic};

    /// A channel as the standard library's: loom's own knows no sender that is gone.
    pub(crate) mod mpsc {
        use std::cell::Cell;
        use std::collections::VecDeque;
        pub(crate) use std::sync::mpsc::{RecvTimeoutError, SendError, TryRecvError};
        use std::time::Duration;

        use loom::sync::{Arc, Condvar, Mutex};

        std::thread_local! {
            /// The most items that any channel held: all threads of a model run on one of the system's.
            static LONGEST: Cell<usize> = const { Cell::new(0) };
        }

        pub(crate) fn forget_the_longest() {
            LONGEST.set(0);
        }

        pub(crate) fn longest() -> usize {
            LONGEST.get()
        }

        #[derive(Debug)]
        struct Channel<T> {
            state: Mutex<State<T>>,
            changed: Condvar,
        }

        #[derive(Debug)]
        struct State<T> {
            items: VecDeque<T>,
            senders: usize,
            has_receiver: bool,
        }

        pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let state = State { items: VecDeque::new(), senders: 1, has_receiver: true };
            let channel = Arc::new(Channel { state: Mutex::new(state), changed: Condvar::new() });
            (Sender(Arc::clone(&channel)), Receiver(channel))
        }

        #[derive(Debug)]
        pub(crate) struct Sender<T>(Arc<Channel<T>>);

        impl<T> Sender<T> {
            pub(crate) fn send(&self, item: T) -> Result<(), SendError<T>> {
                let mut state = self.0.state.lock().unwrap();
                if !state.has_receiver {
                    return Err(SendError(item));
                }
                state.items.push_back(item);
                LONGEST.set(LONGEST.get().max(state.items.len()));
                self.0.changed.notify_one();
                Ok(())
            }
        }

        impl<T> Clone for Sender<T> {
            fn clone(&self) -> Self {
                self.0.state.lock().unwrap().senders += 1;
                Self(Arc::clone(&self.0))
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                self.0.state.lock().unwrap().senders -= 1;
                self.0.changed.notify_one();
            }
        }

        #[derive(Debug)]
        pub(crate) struct Receiver<T>(Arc<Channel<T>>);

        impl<T> Receiver<T> {
            /// Waits without end: who needs the time-out to come on is stuck here, and found.
            pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
                let mut state = self.0.state.lock().unwrap();
                loop {
                    if let Some(item) = state.items.pop_front() {
                        return Ok(item);
                    }
                    if state.senders == 0 {
                        return Err(RecvTimeoutError::Disconnected);
                    }
                    state = self.0.changed.wait(state).unwrap();
                }
            }

            pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
                let mut state = self.0.state.lock().unwrap();
                let gone = if state.senders == 0 { TryRecvError::Disconnected } else { TryRecvError::Empty };
                state.items.pop_front().ok_or(gone)
            }
        }

        impl<T> Drop for Receiver<T> {
            fn drop(&mut self) {
                self.0.state.lock().unwrap().has_receiver = false;
            }
        }
    }
}

/// An eventfd as a counter, and `epoll_wait` as a wait for it to be more than zero.
mod bell {
    use loom::sync::{Condvar, Mutex};

    #[derive(Debug)]
    pub(crate) struct Bell {
        rung: Mutex<u64>,
        changed: Condvar,
    }

    impl Bell {
        pub(crate) fn new() -> Self {
            Self { rung: Mutex::new(0), changed: Condvar::new() }
        }

        pub(crate) fn ring(&self) {
            *self.rung.lock().unwrap() += 1;
            self.changed.notify_one();
        }

        pub(crate) fn still(&self) {
            *self.rung.lock().unwrap() = 0;
        }

        /// Sleeps until it rings; it goes on ringing until it is stilled.
        pub(crate) fn wait(&self) {
            let mut rung = self.rung.lock().unwrap();
            while *rung == 0 {
                rung = self.changed.wait(rung).unwrap();
            }
        }
    }
}
