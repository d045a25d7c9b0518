//! A connection over one WebSocket (RFC 6455).
//!
//! Each direction is driven by the socket itself: what the client says is read when the session takes it, and what it is
//! told is taken from the outbox when there is room for it.

use std::convert::Infallible;
use std::sync::Arc;

use actix_http::ResponseBuilder;
use actix_http::body::{BodyStream, MessageBody as _};
use actix_http::ws::{self, CloseCode, CloseReason, Codec, Frame, Item, OpCode, Parser, ProtocolError};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio_util::codec::Decoder as _;

use super::super::problem::Problem;
use super::super::problem_type::ProblemType;
use super::connection::Connection;

/// How many pongs may wait to be sent. Whoever pings faster is answered now and then.
const PONGS: usize = 4;

/// What has to be said besides messages.
enum Control {
    Pong(Bytes),
    Close(CloseCode),
}

/// Checks what the client has sent to begin with.
///
/// # Errors
///
/// When it asks for no WebSocket of the version that everybody speaks.
pub(super) fn greeting(request: &HttpRequest) -> Result<ResponseBuilder, Problem> {
    ws::handshake(request.head()).map_err(|error| {
        let detail = format!("This does not open a WebSocket: {error}");
        Problem::new(ProblemType::MalformedRequest, detail)
    })
}

/// Begins both directions. A frame has at most so many bytes: a client puts all into one that is said at the same time.
pub(super) fn answer(
    mut greeting: ResponseBuilder,
    payload: Payload,
    largest: usize,
    connection: Arc<Connection>,
) -> Result<HttpResponse, Problem> {
    let (controls, receiver) = mpsc::channel(PONGS);
    // It ends with the connection, which ends with the body of the answer.
    actix_web::rt::spawn(listen(payload, largest, Arc::clone(&connection), controls));
    let body = BodyStream::new(speak(connection, receiver)).boxed();
    let response = greeting.message_body(body).map_err(|error| Problem::internal(&error))?;
    Ok(response.into())
}

async fn listen(
    mut payload: Payload,
    largest: usize,
    connection: Arc<Connection>,
    controls: mpsc::Sender<Control>,
) {
    let (mut codec, mut bytes) = (Codec::new().max_size(largest), BytesMut::new());
    loop {
        match codec.decode(&mut bytes) {
            Ok(Some(frame)) => {
                connection.hear();
                let said = match frame {
                    Frame::Text(said) | Frame::Binary(said) => said,
                    // A message in several frames is the same bytes: where they end is said in them.
                    Frame::Continuation(
                        Item::FirstText(said)
                        | Item::FirstBinary(said)
                        | Item::Continue(said)
                        | Item::Last(said),
                    ) => said,
                    Frame::Ping(with) => {
                        let _ = controls.try_send(Control::Pong(with));
                        continue;
                    }
                    Frame::Pong(_) => continue,
                    Frame::Close(_) => {
                        let _ = controls.send(Control::Close(CloseCode::Normal)).await;
                        return;
                    }
                };
                if !connection.say(said).await {
                    return;
                }
            }
            Ok(None) => {
                let more = tokio::select! {
                    biased;
                    () = connection.left() => return,
                    more = payload.next() => more,
                };
                let Some(Ok(more)) = more else {
                    connection.leave();
                    return;
                };
                bytes.extend_from_slice(&more);
            }
            Err(error) => {
                let code = match error {
                    ProtocolError::Overflow => CloseCode::Size,
                    _ => CloseCode::Protocol,
                };
                let _ = controls.send(Control::Close(code)).await;
                return;
            }
        }
    }
}

/// The frames of the other direction. When they are dropped, the client has left.
fn speak(
    connection: Arc<Connection>,
    controls: mpsc::Receiver<Control>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let speaker = Speaker { connection, controls, over: false };
    stream::unfold(speaker, |mut speaker| async move {
        let frame = speaker.next().await?;
        Some((Ok(frame), speaker))
    })
}

struct Speaker {
    connection: Arc<Connection>,
    controls: mpsc::Receiver<Control>,
    over: bool,
}

impl Speaker {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let mut frame = BytesMut::new();
        let control = tokio::select! {
            biased;
            Some(control) = self.controls.recv() => control,
            told = self.connection.take() => match told {
                Some(told) => {
                    Parser::write_message(&mut frame, told, OpCode::Text, true, false);
                    return Some(frame.freeze());
                }
                None => Control::Close(CloseCode::Normal),
            },
        };
        match control {
            Control::Pong(with) => Parser::write_message(&mut frame, with, OpCode::Pong, true, false),
            Control::Close(code) => {
                let reason = CloseReason { code, description: None };
                Parser::write_close(&mut frame, Some(reason), false);
                self.over = true;
            }
        }
        Some(frame.freeze())
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.connection.leave();
    }
}
