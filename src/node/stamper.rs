//! Asks the authority for timestamps, over HTTP (RFC 3161 §3.4): one at a time, again and again until it answers.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::catalogue::{NotStamped, Question, Write};
use crate::control::config::Authority;
use crate::control::witnessed;
use crate::limits::STAMP_BYTES;
use crate::node::entropy;
use crate::node::post;
use crate::tls::Witness;
use crate::vault::Digest;

/// What is to be stamped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Order {
    /// Its number in the ledger.
    pub(super) number: u64,
    pub(super) digest: Digest,
}

/// How long the authority may take for one answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long to wait after it gave none, doubled each time up to the longest: an authority that is away for a night is asked 20 times.
const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(1800)];

/// Has everything stamped that is ordered, until nobody is left to order. `tell` takes what came of each.
///
/// Where a certificate is named an answer must be signed by it.
pub(super) async fn stamp(
    authority: Authority,
    witness: Option<Witness>,
    mut orders: mpsc::Receiver<Order>,
    tell: impl Fn(Write),
) {
    let [first, longest] = PAUSES;
    let mut pause = first;
    while let Some(Order { number, digest }) = orders.recv().await {
        match ask(&authority, witness.as_ref(), digest).await {
            Ok(answer) => {
                pause = first;
                tell(Write::Stamped { number, answer });
            }
            Err(error) => {
                tracing::warn!(%error, authority = %authority, again_in_s = pause.as_secs(), "not_stamped");
                tell(Write::NotStamped { number });
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

/// Asks once.
async fn ask(authority: &Authority, witness: Option<&Witness>, digest: Digest) -> Result<Vec<u8>, NotStamped> {
    let chance = entropy::seed().map_err(|error| away("the system gives no randomness", &error))?;
    let question = Question::about(digest, chance);
    let asked = timeout(PATIENCE, exchange(authority, question.to_der())).await;
    let answer = asked.map_err(|_| NotStamped::Away(format!("no answer within {} s", PATIENCE.as_secs())))??;
    question.read(&answer)?;
    witness.map_or(Ok(()), |witness| witnessed(witness, &answer, &digest))?;
    Ok(answer)
}

async fn exchange(authority: &Authority, question: Vec<u8>) -> Result<Vec<u8>, NotStamped> {
    let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await;
    let stream = stream.map_err(|error| away("it cannot be connected to", &error))?;
    let request = Request::post(authority.path.as_str())
        .header(HOST, authority.to_string())
        .header(CONTENT_TYPE, "application/timestamp-query")
        .body(Full::new(Bytes::from(question)))
        .map_err(|error| away("it cannot be asked", &error))?;
    post::post(stream, request, STAMP_BYTES).await.map_err(NotStamped::Away)
}

fn away(what: &str, error: &dyn std::error::Error) -> NotStamped {
    NotStamped::Away(format!("{what}: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_none_is_not_taken_and_says_what_it_was() {
        let head =
            |more: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n{more}\r\n").into_bytes();
        let refusal = [head("Content-Length: 7\r\n").as_slice(), &[0x30, 5, 0x30, 3, 0x02, 1, 2]].concat();
        let cut = [head("Content-Length: 70\r\n").as_slice(), &[0x30, 5, 0x30, 3, 0x02, 1, 2]].concat();
        let garbage = [head("Content-Length: 4\r\n").as_slice(), b"what"].concat();

        assert_eq!(asked(refusal).await, Err(NotStamped::Refused(2)));
        assert_eq!(asked(garbage).await, Err(NotStamped::Garbled));
        for (answer, said) in [
            (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec(), "it answers 503 Service Unavailable"),
            (cut, "its answer does not end as it should"),
            (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "it gives no answer over HTTP"),
            (Vec::new(), "it gives no answer over HTTP"),
        ] {
            let error = asked(answer).await.unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_longer_than_any_is_not_read() {
        let long = vec![0x30; STAMP_BYTES + 1];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", long.len());

        let error = asked([head.as_bytes(), &long].concat()).await.unwrap_err();

        assert!(error.to_string().starts_with("its answer does not end as it should: length limit exceeded"), "{error}");
    }

    #[tokio::test]
    async fn nobody_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = at(&listener);
        drop(listener);

        let error = ask(&authority, None, Digest::of(b"x")).await.unwrap_err();

        assert!(error.to_string().starts_with("it cannot be connected to: "), "{error}");
    }

    #[tokio::test]
    async fn only_the_digest_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = at(&listener);
        let port = authority.port;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            heard(&mut stream).await
        });

        ask(&authority, None, Digest::of(b"x")).await.unwrap_err();

        let heard = server.await.unwrap();
        let (head, body) = heard.split_at(heard.len() - 69);
        let expected = format!(
            "POST /tsa HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/timestamp-query\r\ncontent-length: 69\r\n\r\n"
        );
        assert_eq!(String::from_utf8_lossy(head), expected);
        assert_eq!(body[24..56], *Digest::of(b"x").as_bytes());
    }

    /// Asks an authority that answers so.
    async fn asked(answer: Vec<u8>) -> Result<Vec<u8>, NotStamped> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = at(&listener);
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            heard(&mut stream).await;
            // Who has heard enough may close.
            drop(stream.write_all(&answer).await);
        });
        let answered = ask(&authority, None, Digest::of(b"x")).await;
        server.await.unwrap();
        answered
    }

    /// The whole question: what has a body of 69 bytes.
    async fn heard(stream: &mut TcpStream) -> Vec<u8> {
        let mut heard = Vec::new();
        loop {
            let end = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if end.is_some_and(|end| heard.len() >= end + 4 + 69) {
                return heard;
            }
            assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "it ends in the middle");
        }
    }

    fn at(listener: &TcpListener) -> Authority {
        Authority { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port(), path: "/tsa".into() }
    }
}
