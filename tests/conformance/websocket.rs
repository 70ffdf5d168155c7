//! WebSocket by hand (RFC 6455): one upgrade, and frames. Knows no MQTT but its subprotocol.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::{READ_BYTES, Socket};

/// Opcodes of frames.
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0x0;
    pub(crate) const TEXT: u8 = 0x1;
    pub(crate) const BINARY: u8 = 0x2;
    pub(crate) const CLOSE: u8 = 0x8;
    pub(crate) const PING: u8 = 0x9;
    pub(crate) const PONG: u8 = 0xA;
}

/// Set in the first byte of a message's last frame.
pub(crate) const FINAL: u8 = 0x80;

/// Key and answer of the RFC's own example, so that nothing has to be hashed.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Any key masks; this one is the RFC's.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// An upgraded connection.
pub(crate) struct WebSocket {
    socket: Box<dyn Socket>,
    unread: Vec<u8>,
}

/// The answer to a request for an upgrade: status line and headers.
pub(crate) struct Answer(String);

impl Answer {
    pub(crate) fn is_upgrade(&self) -> bool {
        self.0.starts_with("HTTP/1.1 101 ")
    }

    /// What a header says.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl WebSocket {
    /// Upgrades a connection as the specification asks.
    pub(crate) async fn open(socket: Box<dyn Socket>) -> Self {
        let (this, answer) = Self::upgrade(socket, Some("mqtt")).await;
        assert!(answer.is_upgrade(), "the broker upgrades: {}", answer.0);
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(answer.header("sec-websocket-protocol"), Some("mqtt"));
        this
    }

    /// Asks for an upgrade with these subprotocols.
    pub(crate) async fn upgrade(mut socket: Box<dyn Socket>, subprotocols: Option<&str>) -> (Self, Answer) {
        let offer =
            subprotocols.map(|names| format!("Sec-WebSocket-Protocol: {names}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        );
        socket.write_all(request.as_bytes()).await.expect("the broker reads the request");
        socket.flush().await.expect("the broker reads the request");
        let mut this = Self { socket, unread: Vec::new() };
        let end = loop {
            if let Some(end) = this.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(this.read_more().await, "the broker answers the request");
        };
        let answer = String::from_utf8(this.unread.drain(..end).collect()).expect("headers are text");
        (this, Answer(answer))
    }

    /// Sends one frame; `first` is its opcode, with [`FINAL`] if it is the last of its message. False: the broker has
    /// closed.
    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) -> bool {
        let mut frame = vec![first];
        match u16::try_from(payload.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | payload.len() as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.socket.write_all(&frame).await.is_ok() && self.socket.flush().await.is_ok()
    }

    /// Reads the payload of one binary frame to the end of `buffer`. False: the connection is closed.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>) -> bool {
        loop {
            let Some((opcode, payload)) = self.frame().await else {
                return false;
            };
            match opcode {
                opcode::BINARY | opcode::CONTINUATION => {
                    buffer.extend(payload);
                    return true;
                }
                opcode::PING => drop(self.send(FINAL | opcode::PONG, &payload).await),
                opcode::PONG => {}
                opcode::CLOSE => drop(self.send(FINAL | opcode::CLOSE, &payload).await),
                other => panic!("broker sent a frame of type {other:#x}: MQTT travels in binary frames"),
            }
        }
    }

    /// The next frame; `None` if the broker has closed.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((header, length)) = header(&self.unread)
                && self.unread.len() >= header + length
            {
                let first = self.unread[0];
                assert_eq!(first & 0x70, 0, "broker sent a frame with reserved bits: {first:#x}");
                let frame: Vec<u8> = self.unread.drain(..header + length).collect();
                return Some((first & 0x0F, frame[header..].to_vec()));
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    async fn read_more(&mut self) -> bool {
        let mut bytes = [0; READ_BYTES];
        let count = self.socket.read(&mut bytes).await.unwrap_or(0);
        self.unread.extend(&bytes[..count]);
        count > 0
    }
}

/// Length of a frame's header and of its payload, once the header is whole.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let length = bytes.get(1)?;
    assert_eq!(length & 0x80, 0, "broker sent a frame that is masked");
    match length {
        126 => Some((4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().expect("eight bytes"));
            Some((10, usize::try_from(length).expect("a length that fits")))
        }
        length => Some((2, usize::from(*length))),
    }
}
