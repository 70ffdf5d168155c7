//! WebSocket and secure WebSocket (chapter 6): an upgraded HTTP connection as one flow of bytes.
//!
//! Frames need not align with packets [MQTT-6.0.0-2]: each binary frame is only more bytes for the reader, and each
//! write is one binary frame. Not here: TLS, which the caller has put underneath; anything of MQTT.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// Subprotocols that clients offer: the one of the specification [MQTT-6.0.0-3], and the one of clients of MQTT 3.1.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Bytes read from the socket at once. Small: an idle device holds one such buffer.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Frames that gather before the socket is written without a flush.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// The largest frame that we send, payload only. A large packet leaves in several frames.
const SENT_FRAME_BYTES_MAX: usize = 64 * 1024;

/// How many bytes may wait behind a socket that does not take them, before writing waits.
const WRITE_BUFFER_BYTES_MAX: usize = 4 * SENT_FRAME_BYTES_MAX;

/// Why a connection was not upgraded to WebSocket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    /// The request was no upgrade, or asked for something else.
    #[error("WebSocket upgrade refused: {0}")]
    Refused(Box<WebSocketError>),
}

/// Answers a client's upgrade request. The client must offer a subprotocol of MQTT and ask for `path`;
/// a frame of it may hold `frame_bytes_max` bytes of payload: clients send a whole packet in one frame, so this is at
/// least the largest packet.
///
/// # Errors
///
/// The request is no WebSocket upgrade, has another path, or offers no subprotocol of MQTT. The client has its HTTP
/// answer by then.
pub(crate) async fn accept<S>(
    socket: S,
    path: &str,
    frame_bytes_max: usize,
) -> Result<WebSocketBytes<S>, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(frame_bytes_max))
        .max_frame_size(Some(frame_bytes_max));
    accept_hdr_async_with_config(socket, Upgrade { path }, Some(config))
        .await
        .map(|frames| WebSocketBytes { frames, unread: Bytes::new() })
        .map_err(|error| UpgradeError::Refused(Box::new(error)))
}

/// What a client must ask for.
struct Upgrade<'a> {
    path: &'a str,
}

impl Callback for Upgrade<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        upgrade(request, response, self.path)
    }
}

#[expect(clippy::result_large_err, reason = "the type is that of the library's callback")]
fn upgrade(request: &Request, mut response: Response, path: &str) -> Result<Response, ErrorResponse> {
    if request.uri().path() != path {
        return Err(refusal(StatusCode::NOT_FOUND, format!("MQTT is served at {path}")));
    }
    let offered: Vec<&str> = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let Some(chosen) = SUBPROTOCOLS.into_iter().find(|name| offered.contains(name)) else {
        let text = "Sec-WebSocket-Protocol must offer mqtt [MQTT-6.0.0-3]".to_owned();
        return Err(refusal(StatusCode::BAD_REQUEST, text));
    };
    // The answer names the chosen subprotocol [MQTT-6.0.0-4].
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
    Ok(response)
}

fn refusal(status: StatusCode, text: String) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(text));
    *response.status_mut() = status;
    response
}

/// A WebSocket as a stream of bytes.
#[derive(Debug)]
pub(crate) struct WebSocketBytes<S> {
    frames: WebSocketStream<S>,
    /// What is left of the last binary frame.
    unread: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.frames).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                Some(Ok(Message::Text(_))) => {
                    let text = "client sent a text frame, MQTT travels in binary frames [MQTT-6.0.0-1]";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                // The library answers pings and closes by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(end_or_error(error)),
            }
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// The end of a WebSocket is the end of its bytes, whether the closing handshake was done or not.
fn end_or_error(error: WebSocketError) -> io::Result<()> {
    if let WebSocketError::ConnectionClosed
    | WebSocketError::AlreadyClosed
    | WebSocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) = error
    {
        return Ok(());
    }
    Err(io_error(error, io::ErrorKind::InvalidData))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketBytes<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// What is ready together leaves in one frame.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.frames).poll_ready(cx)).map_err(write_error)?;
        let ready_bytes: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut frame = BytesMut::with_capacity(ready_bytes.min(SENT_FRAME_BYTES_MAX));
        for slice in slices {
            let count = slice.len().min(SENT_FRAME_BYTES_MAX - frame.len());
            frame.extend_from_slice(&slice[..count]);
        }
        let count = frame.len();
        Pin::new(&mut self.frames).start_send(Message::Binary(frame.freeze())).map_err(write_error)?;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_flush(cx).map_err(write_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.frames).poll_close(cx)) {
            Ok(()) | Err(WebSocketError::ConnectionClosed | WebSocketError::AlreadyClosed) => {
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(write_error(error))),
        }
    }
}

fn write_error(error: WebSocketError) -> io::Error {
    io_error(error, io::ErrorKind::BrokenPipe)
}

/// The socket's own error as it is, any other as one of this kind.
fn io_error(error: WebSocketError, kind: io::ErrorKind) -> io::Error {
    if let WebSocketError::Io(error) = error { error } else { io::Error::new(kind, error) }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::client_async;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;

    use super::*;

    const FRAME_BYTES_MAX: usize = 1024 * 1024;

    async fn pair(
        path: &str,
        offer: Option<&str>,
    ) -> (
        Result<WebSocketBytes<DuplexStream>, UpgradeError>,
        Result<WebSocketStream<DuplexStream>, WebSocketError>,
        Option<String>,
    ) {
        let (client, server) = duplex(64 * 1024);
        let mut request = format!("ws://broker{path}").into_client_request().unwrap();
        if let Some(offer) = offer {
            request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, offer.parse().unwrap());
        }
        let (server, client) =
            tokio::join!(accept(server, "/mqtt", FRAME_BYTES_MAX), client_async(request, client));
        match client {
            Ok((client, response)) => {
                let chosen = response
                    .headers()
                    .get(header::SEC_WEBSOCKET_PROTOCOL)
                    .map(|name| name.to_str().unwrap().to_owned());
                (server, Ok(client), chosen)
            }
            Err(error) => (server, Err(error), None),
        }
    }

    async fn open() -> (WebSocketBytes<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (server, client, chosen) = pair("/mqtt", Some("mqtt")).await;
        assert_eq!(chosen.as_deref(), Some("mqtt"));
        (server.unwrap(), client.unwrap())
    }

    /// [MQTT-6.0.0-3], [MQTT-6.0.0-4]
    #[tokio::test]
    async fn the_subprotocol_of_mqtt_is_chosen_among_those_offered() {
        let (server, client, chosen) = pair("/mqtt", Some("chat, mqttv3.1, mqtt")).await;
        assert!(server.is_ok() && client.is_ok());
        assert_eq!(chosen.as_deref(), Some("mqtt"));
    }

    #[tokio::test]
    async fn a_client_of_mqtt_3_1_gets_the_subprotocol_that_it_knows() {
        let (_, _, chosen) = pair("/mqtt", Some("mqttv3.1")).await;
        assert_eq!(chosen.as_deref(), Some("mqttv3.1"));
    }

    #[tokio::test]
    async fn a_client_that_offers_no_subprotocol_of_mqtt_is_refused_with_400() {
        for offer in [None, Some("chat")] {
            let (server, client, _) = pair("/mqtt", offer).await;
            assert!(server.is_err());
            let Err(WebSocketError::Http(response)) = client else { panic!("{client:?}") };
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        }
    }

    #[tokio::test]
    async fn another_path_is_not_found() {
        let (server, client, _) = pair("/", Some("mqtt")).await;
        assert!(server.is_err());
        let Err(WebSocketError::Http(response)) = client else { panic!("{client:?}") };
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }

    /// [MQTT-6.0.0-2]
    #[tokio::test]
    async fn frames_are_joined_to_one_flow_of_bytes() {
        let (mut server, mut client) = open().await;
        for part in [&b"\x10"[..], b"", b"\x0c\x00\x04MQ", b"TT"] {
            client.send(Message::Binary(Bytes::copy_from_slice(part))).await.unwrap();
        }
        let mut bytes = [0; 8];
        server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"\x10\x0c\x00\x04MQTT");
    }

    /// [MQTT-6.0.0-1]
    #[tokio::test]
    async fn a_text_frame_is_an_error() {
        let (mut server, mut client) = open().await;
        client.send(Message::text("hello")).await.unwrap();
        let error = server.read_u8().await.unwrap_err();
        assert!(error.to_string().contains("[MQTT-6.0.0-1]"), "{error}");
    }

    #[tokio::test]
    async fn what_is_written_arrives_in_binary_frames() {
        let (mut server, mut client) = open().await;
        server.write_all(b"\x20\x02\x00\x00").await.unwrap();
        server.flush().await.unwrap();
        let frame = client.next().await.unwrap().unwrap();
        assert_eq!(frame, Message::Binary(Bytes::from_static(b"\x20\x02\x00\x00")));
    }

    #[tokio::test]
    async fn more_than_a_frame_holds_is_sent_in_several() {
        let (mut server, mut client) = open().await;
        let sent = vec![7; SENT_FRAME_BYTES_MAX + 1];
        let expected = sent.len();
        let writing = tokio::spawn(async move {
            server.write_all(&sent).await.unwrap();
            server.flush().await.unwrap();
            server
        });
        let mut received = 0;
        while received < expected {
            received += client.next().await.unwrap().unwrap().len();
        }
        assert_eq!(received, expected);
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn a_close_and_a_lost_socket_both_end_the_bytes() {
        let (mut server, mut client) = open().await;
        client.close(None).await.unwrap();
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
        let (mut server, client) = open().await;
        drop(client);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_frame_over_the_limit_is_refused() {
        let (mut server, mut client) = open().await;
        let sending =
            tokio::spawn(
                async move { client.send(Message::Binary(vec![0; FRAME_BYTES_MAX + 1].into())).await },
            );
        assert_eq!(server.read(&mut [0; 4]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(server);
        assert!(sending.await.unwrap().is_err());
    }
}
