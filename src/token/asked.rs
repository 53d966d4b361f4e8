//! The thread that speaks to the token, and those who ask it: in haste, or with patience.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::TOKEN_ANSWER;
use crate::token::line::Line;
use crate::token::{Pin, TokenError};
use crate::vault::{NodeKey, NodePublic, NotSigned, Signer, TokenUri};

/// A token's key that is in use.
#[derive(Debug)]
pub struct Token {
    asks: Arc<Asks>,
    public: NodePublic,
}

impl Token {
    /// Opens the token and starts its thread, which ends once nobody can ask it any more.
    ///
    /// # Errors
    /// The token is not there, does not open, has no such key, or has not answered for half a minute.
    pub fn open(uri: &TokenUri) -> Result<Self, TokenError> {
        let uri = uri.clone();
        let (opened, opens) = mpsc::sync_channel(1);
        let asks = Asks::start(move || {
            let line = Line::open(&uri, Pin::InFile).and_then(|line| line.public().map(|public| (line, public)));
            let (line, told) = match line {
                Ok((line, public)) => (Some(line), Ok(public)),
                Err(error) => (None, Err(error)),
            };
            // Whoever opens it has given up.
            opened.send(told).ok();
            line.map(|mut line| {
                move |message: &[u8]| {
                    line.sign(message).map_err(|error| {
                        // That one was told before.
                        if !matches!(error, TokenError::Away) {
                            tracing::error!(%error, "token_does_not_sign");
                        }
                    })
                }
            })
        })?;
        match opens.recv_timeout(PATIENCE) {
            Ok(public) => Ok(Self { asks: Arc::new(asks), public: public? }),
            Err(_) => Err(TokenError::Late),
        }
    }

    /// Returns the node's key in it, tried twice, for whoever can wait.
    ///
    /// # Errors
    /// It does not sign, or not by RFC 8032.
    pub fn node_key(&self) -> Result<NodeKey, TokenError> {
        NodeKey::held(self.public, Arc::new(Patient(Arc::clone(&self.asks)))).map_err(TokenError::NotSigned)
    }

    /// Returns whoever signs for a thread that others wait for: [`TOKEN_ANSWER`] says how long that is held up.
    #[must_use]
    pub fn hasty(&self) -> Arc<dyn Signer> {
        Arc::new(Hasty::new(Arc::clone(&self.asks)))
    }
}

/// How long who can wait does so. Hardware takes a second at most, and the first answer of one in a network some more.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked of the thread.
struct Order {
    message: Vec<u8>,
    answer: SyncSender<Option<[u8; 64]>>,
    /// Nobody waits for it after this.
    until: Instant,
}

/// The way to the thread.
#[derive(Debug)]
struct Asks {
    orders: SyncSender<Order>,
    /// It has let somebody wait in vain, and has answered nobody since.
    is_late: Arc<AtomicBool>,
}

/// Orders that wait: each who asks has one at a time, and they are three.
const WAITING: usize = 8;

impl Asks {
    /// Starts the thread, on which `connect` makes what signs; without that it ends.
    fn start<S>(connect: impl FnOnce() -> Option<S> + Send + 'static) -> Result<Self, TokenError>
    where
        S: FnMut(&[u8]) -> Result<[u8; 64], ()>,
    {
        let (orders, waits) = mpsc::sync_channel(WAITING);
        let is_late = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&is_late);
        let serve = move || {
            if let Some(sign) = connect() {
                serve(&waits, &is_told, sign);
            }
        };
        std::thread::Builder::new().name("token".into()).spawn(serve).map_err(TokenError::Thread)?;
        Ok(Self { orders, is_late })
    }

    fn ask(&self, message: &[u8], patience: Duration) -> Result<[u8; 64], NotSigned> {
        let (answer, answers) = mpsc::sync_channel(1);
        let order = Order { message: message.to_vec(), answer, until: Instant::now() + patience };
        self.orders.try_send(order).map_err(|_| NotSigned::NotAsked)?;
        match answers.recv_timeout(patience) {
            Ok(answer) => answer.ok_or(NotSigned::Refused),
            Err(RecvTimeoutError::Timeout) => {
                self.is_late.store(true, Ordering::Relaxed);
                Err(NotSigned::Late)
            }
            Err(RecvTimeoutError::Disconnected) => Err(NotSigned::Refused),
        }
    }
}

fn serve(waits: &Receiver<Order>, is_late: &AtomicBool, mut sign: impl FnMut(&[u8]) -> Result<[u8; 64], ()>) {
    for Order { message, answer, until } in waits {
        if Instant::now() < until {
            // Who asked may have given up meanwhile.
            answer.send(sign(&message).ok()).ok();
        }
        is_late.store(false, Ordering::Relaxed);
    }
}

/// Asks and waits.
struct Patient(Arc<Asks>);

impl Signer for Patient {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned> {
        self.0.ask(message, PATIENCE)
    }
}

/// Asks for a thread that others wait for: not while the token is late, and not for more of its time than a part.
struct Hasty {
    asks: Arc<Asks>,
    waited: Mutex<Waited>,
}

/// Time spent with waiting, less what was earned since.
struct Waited {
    owed: Duration,
    at: Instant,
}

/// One part in so many of a thread's time may go to waiting.
const SHARE: u32 = 4;

impl Hasty {
    fn new(asks: Arc<Asks>) -> Self {
        Self { asks, waited: Mutex::new(Waited { owed: Duration::ZERO, at: Instant::now() }) }
    }
}

impl Signer for Hasty {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], NotSigned> {
        // Nothing in it can be half done.
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Instant::now();
        let owed = waited.owed.saturating_sub((asked - waited.at) / SHARE);
        (waited.owed, waited.at) = (owed, asked);
        if owed >= TOKEN_ANSWER || self.asks.is_late.load(Ordering::Relaxed) {
            return Err(NotSigned::NotAsked);
        }
        let answer = self.asks.ask(message, TOKEN_ANSWER);
        let took = asked.elapsed();
        (waited.owed, waited.at) = (owed + took, asked + took);
        answer
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_hangs_is_waited_for_once_and_asked_again_when_it_is_back() {
        let (let_go, held) = mpsc::channel::<()>();
        let mut is_first = true;
        let asks = Arc::new(asks(move |_: &[u8]| {
            if std::mem::take(&mut is_first) {
                held.recv().ok();
            }
            Ok([1; 64])
        }));
        let hasty = Hasty::new(Arc::clone(&asks));

        let begun = Instant::now();
        assert_eq!(hasty.sign(b"one"), Err(NotSigned::Late));
        assert!(begun.elapsed() < TOKEN_ANSWER + Duration::from_secs(1));
        let another = Hasty::new(Arc::clone(&asks));
        let begun = Instant::now();
        assert_eq!([hasty.sign(b"two"), another.sign(b"three")], [Err(NotSigned::NotAsked); 2]);
        assert!(begun.elapsed() < TOKEN_ANSWER, "nobody waits a second time");

        let_go.send(()).unwrap();
        assert_eq!(Patient(asks).sign(b"four"), Ok([1; 64]));
        assert_eq!(another.sign(b"five"), Ok([1; 64]));
    }

    #[test]
    fn a_token_that_is_slow_takes_a_part_of_the_time_and_no_more() {
        let slow = TOKEN_ANSWER / 4;
        let asks = asks(move |_: &[u8]| {
            std::thread::sleep(slow);
            Ok([1; 64])
        });
        let hasty = Hasty::new(Arc::new(asks));

        let signed = (0..100).map(|_| hasty.sign(b"text")).take_while(Result::is_ok).count();

        assert!((2..=8).contains(&signed), "{signed}: until it has taken as long as one answer may, and a part of that again");
        assert_eq!(hasty.sign(b"text"), Err(NotSigned::NotAsked));
        hasty.waited.lock().unwrap().owed -= slow;
        assert_eq!(hasty.sign(b"text"), Ok([1; 64]), "once time has passed");
    }

    #[test]
    fn one_that_refuses_is_asked_the_next_time() {
        let mut answers = [Err(()), Ok([1; 64])].into_iter();
        let hasty = Hasty::new(Arc::new(asks(move |_: &[u8]| answers.next().unwrap_or(Err(())))));

        assert_eq!([hasty.sign(b"one"), hasty.sign(b"two")], [Err(NotSigned::Refused), Ok([1; 64])]);
    }

    #[test]
    fn a_thread_that_could_not_connect_signs_nothing() {
        let none = || None::<fn(&[u8]) -> Result<[u8; 64], ()>>;
        let patient = Patient(Arc::new(Asks::start(none).unwrap()));

        assert!(matches!(patient.sign(b"text"), Err(NotSigned::Refused | NotSigned::NotAsked)));
    }

    fn asks(sign: impl FnMut(&[u8]) -> Result<[u8; 64], ()> + Send + 'static) -> Asks {
        Asks::start(move || Some(sign)).unwrap()
    }
}
