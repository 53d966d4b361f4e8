//! One question over HTTP, and its answer: for those who are asked from time to time, and whose answers are short.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Asks over this connection, which ends with it, and returns the body of the answer. One of more than so many bytes is none.
///
/// # Errors
/// In words: no answer, another status than 200, or one that does not end as it should.
pub(super) async fn post<S>(stream: S, request: Request<Full<Bytes>>, most: usize) -> Result<Vec<u8>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Ok(exchange(stream, request, most).await?.into_body())
}

/// The same, with the head of the answer.
///
/// # Errors
/// As for [`post`].
pub(super) async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, most: usize) -> Result<Response<Vec<u8>>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let spoken = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = spoken.map_err(|error| format!("it gives no answer over HTTP: {error}"))?;
    let answer = async {
        let reply = sender.send_request(request).await.map_err(|error| format!("it gives no answer over HTTP: {error}"))?;
        if reply.status() != 200 {
            return Err(format!("it answers {}", reply.status()));
        }
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, most).collect().await;
        let body = body.map_err(|error| format!("its answer does not end as it should: {error}"))?;
        Ok(Response::from_parts(head, body.to_bytes().to_vec()))
    };
    // The connection is driven for as long as the answer is waited for, and dropped with it.
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        // What had come by then is still to be had; and what had not, the answer says.
        _ = &mut connection => answer.await,
    }
}
