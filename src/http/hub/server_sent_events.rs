//! A connection whose client listens to a stream of server-sent events, and speaks by `POST`.

use std::convert::Infallible;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::super::sse;
use super::connection::Connection;

/// Something comes at once, so that every browser sees the stream open.
const HELLO: &[u8] = b":\n\n";

/// Begins the stream.
pub(super) fn answer(request: &HttpRequest, connection: Arc<Connection>) -> HttpResponse {
    sse::response(request, listen(Listener { connection, greeted: false }))
}

fn listen(listener: Listener) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}

struct Listener {
    connection: Arc<Connection>,
    greeted: bool,
}

impl Listener {
    /// JSON has no line breaks of its own, so that whole records are one line of data.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(Bytes::from_static(HELLO));
        }
        let told = self.connection.take().await?;
        Some([b"data: ", &told[..], b"\n\n"].concat().into())
    }
}

/// The stream has ended, or its client has left.
impl Drop for Listener {
    fn drop(&mut self) {
        self.connection.leave();
    }
}
