//! Asks the web hook about calls: JSON by POST, signed by HMAC-SHA-256, each with a deadline after which nothing was said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::call::{Advice, Consulting, Input, Word};
use crate::control::config::Authority;
use crate::limits::{HOOK_ANSWER_BYTES, HOOKS_AT_ONCE};
use crate::node::clock;
use crate::node::metrics::Metrics;
use crate::node::post::{exchange, post};
use crate::time::Wall;
use crate::tls::PeerName;

/// The hook, and how it is asked.
pub(super) struct Hook {
    /// Where it is.
    pub(super) at: Authority,
    /// What it is believed by; nothing where it is spoken to in the clear.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// By which questions are signed.
    pub(super) secret: Zeroizing<Vec<u8>>,
    /// How long an answer is waited for.
    pub(super) deadline: Duration,
}

/// Asks it, many times at once.
pub(super) struct Asker {
    hook: Arc<Hook>,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    told: mpsc::UnboundedSender<Input>,
    /// It gave no answer the last time: that is told once, and once when it does again.
    is_silent: Arc<AtomicBool>,
}

impl Asker {
    /// Makes it; what comes of each question is told there.
    pub(super) fn new(hook: Hook, metrics: Arc<Metrics>, told: mpsc::UnboundedSender<Input>) -> Self {
        let (places, is_silent) = (Arc::new(Semaphore::new(HOOKS_AT_ONCE)), Arc::new(AtomicBool::new(false)));
        Self { hook: Arc::new(hook), places, metrics, told, is_silent }
    }

    /// Asks about a call. Something is told of it in any case, within the deadline.
    pub(super) fn ask(&self, consulting: Consulting) {
        let Self { hook, places, metrics, told, is_silent } = self;
        let (hook, metrics, told, is_silent) = (Arc::clone(hook), Arc::clone(metrics), told.clone(), Arc::clone(is_silent));
        let place = Arc::clone(places).try_acquire_owned();
        drop(tokio::spawn(async move {
            let since = Instant::now();
            let answered = match &place {
                Ok(_) => hook.ask(&consulting).await,
                Err(_) => Err(format!("{HOOKS_AT_ONCE} questions wait for an answer")),
            };
            let was_silent = is_silent.swap(answered.is_err(), Ordering::Relaxed);
            match &answered {
                Err(error) if !was_silent => tracing::warn!(call = %consulting.call, %error, "hook_silent"),
                Ok(_) if was_silent => tracing::info!("hook_answers_again"),
                Ok(_) | Err(_) => {}
            }
            let advice = answered.unwrap_or_else(|_| Advice::silent(clock::wall()));
            metrics.hook_answers.with_label_values(&[advice.word.as_str()]).inc();
            metrics.hook_seconds.observe(since.elapsed().as_secs_f64());
            // Who has stopped meanwhile has no calls any more.
            drop(told.send(Input::Advised { call: consulting.call, advice }));
        }));
    }
}

impl Hook {
    async fn ask(&self, consulting: &Consulting) -> Result<Advice, String> {
        let asked = timeout(self.deadline, self.exchange(consulting)).await;
        asked.map_err(|_| format!("no answer within {} ms", self.deadline.as_millis()))?
    }

    async fn exchange(&self, consulting: &Consulting) -> Result<Advice, String> {
        let now = clock::wall();
        let body = question(consulting, now);
        let signature = signature(&self.secret, now.unix_micros() / 1_000_000, &[&body]);
        let request = Request::post(self.at.path.as_str())
            .header(HOST, self.at.to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE, &signature)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| format!("it cannot be asked: {error}"))?;
        let stream = TcpStream::connect((self.at.host.as_str(), self.at.port)).await;
        let stream = stream.map_err(|error| format!("it cannot be connected to: {error}"))?;
        let answer = match &self.tls {
            // In the clear anybody on this machine may answer who finds the port free; over TLS the certificate says who it is.
            None => {
                let answer = exchange(stream, request, HOOK_ANSWER_BYTES).await?;
                let shown = answer.headers().get(SIGNATURE).and_then(|shown| shown.to_str().ok());
                if !shown.is_some_and(|shown| is_signed(&self.secret, shown, &signature, answer.body())) {
                    return Err("its answer is not signed with the secret, for this question".into());
                }
                answer.into_body()
            }
            Some(tls) => {
                let name = PeerName::new(&self.at.host).ok_or("its host is no name")?.to_server_name();
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
                post(stream.map_err(|error| format!("TLS fails: {error}"))?, request, HOOK_ANSWER_BYTES).await?
            }
        };
        read(&answer, clock::wall())
    }
}

#[derive(Serialize)]
struct Question<'q> {
    mitschnitt: u8,
    call: String,
    at: String,
    direction: &'static str,
    trunk: &'q str,
    policy: &'q str,
    purpose: &'q str,
    calling: &'q str,
    called: &'q str,
    call_id: &'q str,
}

fn question(consulting: &Consulting, now: Wall) -> Vec<u8> {
    let Consulting { call, direction, trunk, policy, purpose, parties } = consulting;
    let question = Question {
        mitschnitt: 1,
        call: call.to_string(),
        at: now.to_string(),
        direction: direction.as_str(),
        trunk: trunk.as_str(),
        policy,
        purpose,
        calling: parties.calling.reveal(),
        called: parties.called.reveal(),
        call_id: parties.call_id.reveal(),
    };
    serde_json::to_vec(&question).unwrap_or_default()
}

/// Returns the header by which a question is known to be ours, and to be of this time: the seconds since 1970, and HMAC-SHA-256 over these,
/// a full stop and the body. An answer's has the HEX of the question's in between, so that it is to this question.
fn signature(secret: &[u8], at_s: i64, parts: &[&[u8]]) -> String {
    let Some(mac) = mac(secret, &at_s.to_string(), parts) else { return String::new() };
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at_s},v1={hex}")
}

const SIGNATURE: &str = "Mitschnitt-Signature";

fn mac(secret: &[u8], at_s: &str, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(at_s.as_bytes());
    for part in parts {
        mac.update(b".");
        mac.update(part);
    }
    Some(mac)
}

/// Returns whether an answer is signed with the secret, and to the question with that signature. It is compared in constant time.
fn is_signed(secret: &[u8], shown: &str, question: &str, body: &[u8]) -> bool {
    let parted = |header: &str| {
        let (at, hex) = header.strip_prefix("t=")?.split_once(",v1=")?;
        Some((at.to_owned(), hex.to_owned()))
    };
    let (Some((at, hex)), Some((_, asked))) = (parted(shown), parted(question)) else { return false };
    let byte = |nth: usize| u8::from_str_radix(hex.get(2 * nth..2 * nth + 2)?, 16).ok();
    let Some(bytes) = (0..32).map(byte).collect::<Option<Vec<_>>>().filter(|_| hex.len() == 64) else { return false };
    mac(secret, &at, &[asked.as_bytes(), body]).is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
}

#[derive(Deserialize)]
struct Answer {
    answer: Said,
    policy: Option<String>,
    version: Option<String>,
    reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Allow,
    Ask,
    Deny,
}

/// Bytes of a word of the hook's that goes into the evidence.
const WORD_BYTES: usize = 400;

fn read(answer: &[u8], at: Wall) -> Result<Advice, String> {
    // What is wrong with it may have a number in it, and is not repeated.
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|error| format!("its answer is not understood, at byte {}", error.column()))?;
    let texts = [&answer.policy, &answer.version, &answer.reference];
    if texts.into_iter().flatten().any(|text| text.len() > WORD_BYTES || text.chars().any(char::is_control)) {
        return Err(format!("a text in its answer has more than {WORD_BYTES} bytes, or a sign that is none"));
    }
    let word = match answer.answer {
        Said::Allow => Word::Allow,
        Said::Ask => Word::Ask,
        Said::Deny => Word::Deny,
    };
    let text = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Into::into);
    Ok(Advice { word, policy: text(answer.policy), version: text(answer.version), reference: text(answer.reference), at })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::consent::Parties;
    use crate::ids::{CallId, Direction, TrunkName};

    #[test]
    fn a_question_is_signed_as_the_manual_says() {
        // printf '1764547200.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let expected = "t=1764547200,v1=94c91c0bca34ba5bb2cbdeac07573f408d6fb93c30dba087a853e501f67daf92";

        let signed = signature(b"0123456789abcdef0123456789abcdef", 1_764_547_200, &[b"{}"]);

        assert_eq!(signed, expected);
    }

    #[test]
    fn an_answer_is_taken_or_is_none() {
        let at = Wall::from_unix_micros(1);
        let read = |text: &str| read(text.as_bytes(), at);

        let advice = read(r#"{"answer":"allow","reference":"CRM 17","version":"2","policy":"orders-en","more":1}"#).unwrap();
        assert_eq!(
            (advice.word, advice.reference.as_deref(), advice.version.as_deref()),
            (Word::Allow, Some("CRM 17"), Some("2"))
        );
        assert_eq!((advice.policy.as_deref(), advice.at), (Some("orders-en"), at));
        assert_eq!(read(r#"{"answer":"deny"}"#).unwrap().word, Word::Deny);
        assert_eq!(read(r#"{"answer":"ask","policy":""}"#).unwrap().policy, None);
        for none in
            ["", "{}", "[]", r#"{"answer":"yes"}"#, r#"{"answer":"allow","reference":"+4930123456\n"}"#, "\"+4930123456\""]
        {
            let error = read(none).unwrap_err();
            assert!(!error.contains("4930123456"), "{error}");
        }
        assert!(read(&format!(r#"{{"answer":"allow","reference":"{}"}}"#, "x".repeat(401))).is_err());
    }

    fn consulting() -> Consulting {
        Consulting {
            call: CallId::from_u64(1),
            direction: Direction::Inbound,
            trunk: TrunkName::new("carrier"),
            policy: "all".into(),
            purpose: "quality".into(),
            parties: Parties::default(),
        }
    }

    fn at(listener: &TcpListener, deadline_ms: u64) -> Hook {
        let at = Authority { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port(), path: "/".into() };
        Hook { at, tls: None, secret: Zeroizing::new(vec![7; 32]), deadline: Duration::from_millis(deadline_ms) }
    }

    /// Asks a hook that answers with this body, signed as it should be or in another way.
    async fn answered(body: String, sign: fn(String) -> String) -> Result<Advice, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hook = at(&listener, 10_000);
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "it ends in the middle");
            }
            let heard = String::from_utf8(heard).unwrap();
            let asked =
                heard.lines().find_map(|line| line.to_lowercase().strip_prefix("mitschnitt-signature: ").map(str::to_owned));
            let (_, asked) = asked.as_deref().and_then(|asked| asked.split_once(",v1=")).unwrap();
            let signed = sign(signature(&[7; 32], 5, &[asked.as_bytes(), body.as_bytes()]));
            let head = format!("HTTP/1.1 200 OK\r\n{signed}Content-Length: {}\r\n\r\n", body.len());
            let answer = head + &body;
            // Who has heard enough may close.
            drop(stream.write_all(answer.as_bytes()).await);
        });
        let advice = hook.ask(&consulting()).await;
        server.await.unwrap();
        advice
    }

    #[tokio::test]
    async fn an_answer_that_is_longer_than_any_is_none() {
        let body = |length: usize| format!("{{\"answer\":\"ask\",\"more\":\"{}\"}}", "x".repeat(length - 26));

        assert_eq!(answered(body(HOOK_ANSWER_BYTES), shown).await.unwrap().word, Word::Ask);
        let error = answered(body(HOOK_ANSWER_BYTES + 1), shown).await.unwrap_err();
        assert!(error.starts_with("its answer does not end as it should"), "{error}");
    }

    fn shown(signature: String) -> String {
        format!("Mitschnitt-Signature: {signature}\r\n")
    }

    #[tokio::test]
    async fn an_answer_in_the_clear_that_is_not_signed_for_the_question_is_none() {
        let allow = || r#"{"answer":"allow"}"#.to_owned();
        assert_eq!(answered(allow(), shown).await.unwrap().word, Word::Allow);
        let lies: [fn(String) -> String; 5] = [
            |_| String::new(),
            |signed| shown(signed.replace("t=5", "t=6")),
            |signed| shown(signed[..signed.len() - 1].to_owned()),
            |signed| shown(signed.replace(",v1=", ",v2=")),
            |_| shown(signature(&[7; 32], 5, &[r#"{"answer":"allow"}"#.as_bytes()])),
        ];
        for lie in lies {
            assert_eq!(answered(allow(), lie).await.unwrap_err(), "its answer is not signed with the secret, for this question");
        }
    }

    #[tokio::test]
    async fn a_question_beyond_all_that_may_wait_is_answered_by_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (told, mut advised) = mpsc::unbounded_channel();
        let metrics = Arc::new(Metrics::new());
        let asker = Asker::new(at(&listener, 600_000), Arc::clone(&metrics), told);
        let taken: Vec<_> = (0..HOOKS_AT_ONCE).map(|_| Arc::clone(&asker.places).try_acquire_owned().unwrap()).collect();

        asker.ask(consulting());

        let Some(Input::Advised { advice, .. }) = advised.recv().await else { panic!("something is told") };
        assert_eq!(advice.word, Word::Silent);
        assert_eq!(metrics.hook_answers.with_label_values(&["silent"]).get(), 1);
        drop(taken);
    }

    #[tokio::test]
    async fn who_does_not_answer_in_time_has_said_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();

        let error = at(&listener, 50).ask(&consulting()).await.unwrap_err();

        assert_eq!(error, "no answer within 50 ms");
    }
}
