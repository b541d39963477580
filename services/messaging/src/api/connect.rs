//! Connect: everything over one stream.

use std::sync::Arc;

use quartet_chassis::auth::Refusal as Refused;
use quartet_chassis::failure::Fields;
use quartet_proto::messaging::v1::connect_request::Frame;
use quartet_proto::messaging::v1::{Ack, ConnectRequest, Message, Refusal};
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;

use super::live::{LiveApi, PATIENCE, nothing_said};
use crate::error::Error;
use crate::live::{self, Asked, Stream};
use crate::store::receipt::Watermark;

/// The longest name of an answer, in bytes.
const REQUEST_ID: usize = 64;

/// Takes what a client says, one frame after the other, until it goes or `end` comes. No frame is taken behind the end, whether the client
/// reads its answers or not.
pub async fn talk(
    api: LiveApi,
    stream: Arc<Stream>,
    mut frames: Streaming<ConnectRequest>,
    end: impl Future<Output = Refused>,
) {
    tokio::pin!(end);
    let begun = tokio::select! {
        biased;
        _ = &mut end => return,
        () = stream.gone() => return,
        begun = begin(&api, &stream, &mut frames) => begun,
    };
    if let Err(status) = begun {
        return stream.refuse(status);
    }
    loop {
        let frame = tokio::select! {
            biased;
            _ = &mut end => return,
            () = stream.gone() => return,
            frame = next(&api, &stream, &mut frames) => frame,
        };
        match frame {
            Ok(Some(frame)) if stream.is_open() => {
                let ack = Box::pin(api.take(&stream, frame)).await;
                stream.put(&live::ack(ack));
            }
            // Who has nothing more to say still hears; who says what can't be heard learns so.
            Ok(_) => return,
            Err(status) => return stream.refuse(status),
        }
    }
}

/// The next frame. Who says too much at once is waited with, and so is what they send: it fills the connection's window.
async fn next(
    api: &LiveApi,
    stream: &Stream,
    frames: &mut Streaming<ConnectRequest>,
) -> Result<Option<ConnectRequest>, Status> {
    let frame = frames.message().await?;
    let wait = api.events.store.hub.count_frame(stream.account);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    Ok(frame)
}

async fn begin(api: &LiveApi, stream: &Arc<Stream>, frames: &mut Streaming<ConnectRequest>) -> Result<(), Status> {
    let first = tokio::time::timeout(PATIENCE, frames.message()).await.map_err(|_| nothing_said())??;
    let Some(ConnectRequest { frame: Some(Frame::Subscribe(subscribe)), request_id }) = first else {
        return Err(nothing_said());
    };
    check_name(&request_id)?;
    let asked = Asked::of(subscribe)?;
    api.events.rates.begin(stream.account).await?;
    live::begin(&api.events.store, &api.parts, stream, asked)?;
    if !request_id.is_empty() {
        stream.put(&live::ack(Ack { request_id, ..Default::default() }));
    }
    Ok(())
}

impl LiveApi {
    /// Does what a frame asks for. A refusal ends nothing.
    async fn take(&self, stream: &Arc<Stream>, asked: ConnectRequest) -> Ack {
        let ConnectRequest { mut request_id, frame } = asked;
        let done = match check_name(&request_id) {
            Ok(()) => self.carry_out(stream, frame).await,
            Err(error) => Err(error),
        };
        request_id.truncate(request_id.floor_char_boundary(REQUEST_ID));
        match done {
            Ok(message) => Ack { request_id, message, refusal: None },
            Err(error) => Ack { request_id, message: None, refusal: Some(refusal(&error.into())) },
        }
    }

    async fn carry_out(&self, stream: &Arc<Stream>, frame: Option<Frame>) -> Result<Option<Message>, Error> {
        let account = stream.account;
        match frame {
            Some(Frame::Send(send)) => return self.messages.send(account, send).await.map(Some),
            Some(Frame::Delivered(frame)) => {
                self.receipts.mark(account, &frame.conversation_id, frame.up_to_seq, Watermark::Delivered).await?;
            }
            Some(Frame::Read(frame)) => {
                self.receipts.mark(account, &frame.conversation_id, frame.up_to_seq, Watermark::Read).await?;
            }
            Some(Frame::Typing(typing)) => self.events.type_in(account, &typing).await?,
            Some(Frame::Focus(focus)) => self.events.focus_on(account, stream.id, &focus.conversation_id).await?,
            Some(Frame::Subscribe(_)) => return Err(wrong("subscribe", "comes first, and once")),
            None => return Err(wrong("frame", "must be set")),
        }
        Ok(None)
    }
}

/// Nothing, if an answer can be called so.
fn check_name(request_id: &str) -> Result<(), Error> {
    if request_id.len() > REQUEST_ID { Err(wrong("request_id", "must have at most 64 bytes")) } else { Ok(()) }
}

fn wrong(field: &str, rule: &str) -> Error {
    let mut fields = Fields::default();
    fields.refuse(field, rule);
    fields.into()
}

/// Says in a frame what a status says in trailers.
fn refusal(status: &Status) -> Refusal {
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    Refusal {
        code: status.code() as i32,
        reason: status.get_details_error_info().map(|info| info.reason).unwrap_or_default(),
        message: status.message().to_owned(),
        retry_after_ms: retry.map_or(0, |delay| i32::try_from(delay.as_millis()).unwrap_or(i32::MAX)),
    }
}
