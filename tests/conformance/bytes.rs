//! Packets as bytes, put together by hand. Nothing here knows what is allowed: a test that needs a broken packet builds
//! it the same way as a sound one.
//!
//! Not here: the project's own encoder. A mistake that both shared would hide itself.

use crate::scene::Version;

/// First bytes of the fixed header: packet type and flags.
pub(crate) mod first_byte {
    pub(crate) const CONNECT: u8 = 0x10;
    pub(crate) const CONNACK: u8 = 0x20;
    pub(crate) const PUBLISH: u8 = 0x30;
    pub(crate) const PUBACK: u8 = 0x40;
    pub(crate) const PUBREC: u8 = 0x50;
    pub(crate) const PUBREL: u8 = 0x62;
    pub(crate) const PUBCOMP: u8 = 0x70;
    pub(crate) const SUBSCRIBE: u8 = 0x82;
    pub(crate) const SUBACK: u8 = 0x90;
    pub(crate) const UNSUBSCRIBE: u8 = 0xA2;
    pub(crate) const UNSUBACK: u8 = 0xB0;
    pub(crate) const PINGREQ: u8 = 0xC0;
    pub(crate) const PINGRESP: u8 = 0xD0;
    pub(crate) const DISCONNECT: u8 = 0xE0;
    pub(crate) const AUTH: u8 = 0xF0;
}

/// Property identifiers of MQTT 5.0.
pub(crate) mod property {
    pub(crate) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(crate) const WILL_DELAY_INTERVAL: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const MAXIMUM_QOS: u8 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
    pub(crate) const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2A;
}

/// Reason codes of MQTT 5.0 that a test insists on.
pub(crate) mod code {
    pub(crate) const SUCCESS: u8 = 0x00;
    pub(crate) const DISCONNECT_WITH_WILL_MESSAGE: u8 = 0x04;
    pub(crate) const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
    pub(crate) const NO_SUBSCRIPTION_EXISTED: u8 = 0x11;
    pub(crate) const CONTINUE_AUTHENTICATION: u8 = 0x18;
    pub(crate) const UNSPECIFIED_ERROR: u8 = 0x80;
    pub(crate) const MALFORMED_PACKET: u8 = 0x81;
    pub(crate) const PROTOCOL_ERROR: u8 = 0x82;
    pub(crate) const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
    pub(crate) const NOT_AUTHORIZED: u8 = 0x87;
    pub(crate) const BAD_AUTHENTICATION_METHOD: u8 = 0x8C;
    pub(crate) const KEEP_ALIVE_TIMEOUT: u8 = 0x8D;
    pub(crate) const SESSION_TAKEN_OVER: u8 = 0x8E;
    pub(crate) const TOPIC_FILTER_INVALID: u8 = 0x8F;
    pub(crate) const TOPIC_NAME_INVALID: u8 = 0x90;
    pub(crate) const PACKET_IDENTIFIER_NOT_FOUND: u8 = 0x92;
    pub(crate) const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
    pub(crate) const TOPIC_ALIAS_INVALID: u8 = 0x94;
    pub(crate) const PACKET_TOO_LARGE: u8 = 0x95;
}

/// Connect flags.
pub(crate) mod connect_flag {
    pub(crate) const RESERVED: u8 = 0x01;
    pub(crate) const CLEAN: u8 = 0x02;
    pub(crate) const WILL: u8 = 0x04;
    pub(crate) const WILL_QOS_1: u8 = 0x08;
    pub(crate) const WILL_QOS_2: u8 = 0x10;
    pub(crate) const WILL_RETAIN: u8 = 0x20;
    pub(crate) const PASSWORD: u8 = 0x40;
    pub(crate) const USER_NAME: u8 = 0x80;
}

/// Subscription options of MQTT 5.0; the low two bits are the QoS.
pub(crate) mod option {
    pub(crate) const NO_LOCAL: u8 = 0x04;
    pub(crate) const RETAIN_AS_PUBLISHED: u8 = 0x08;
    pub(crate) const RETAIN_IF_NEW: u8 = 0x10;
    pub(crate) const RETAIN_NEVER: u8 = 0x20;
}

/// Reads hexadecimal digits, spaces between them as you like.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert_eq!(digits.len() % 2, 0, "hexadecimal bytes have two digits each");
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits are ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}

/// A variable byte integer in its shortest form.
pub(crate) fn variable(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Some bytes in the making; one method per data type of section 1.5.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }

    /// Text or binary data: two bytes of length, then the bytes, whatever they are.
    pub(crate) fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let length = u16::try_from(bytes.len()).expect("a string has at most 65,535 bytes");
        self.u16(length).raw(bytes)
    }

    pub(crate) fn pair(self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.string(name).string(value)
    }

    pub(crate) fn variable(self, value: usize) -> Self {
        self.raw(variable(value))
    }

    /// A property length and the properties, in MQTT 5.0 alone.
    pub(crate) fn properties(self, version: Version, properties: &Self) -> Self {
        match version {
            Version::V311 => self,
            Version::V5 => self.variable(properties.0.len()).raw(&properties.0),
        }
    }

    /// The packet that has these bytes behind its fixed header.
    pub(crate) fn packet(self, first_byte: u8) -> Vec<u8> {
        Self::new().u8(first_byte).variable(self.0.len()).raw(self.0).0
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

/// A CONNECT. Flags for what is set are added to `flags` by the methods, so that a test can also set them without.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) protocol_name: Vec<u8>,
    pub(crate) protocol_version: u8,
    pub(crate) flags: u8,
    pub(crate) keep_alive: u16,
    pub(crate) properties: Bytes,
    pub(crate) client_id: Vec<u8>,
    pub(crate) will: Option<Will>,
    pub(crate) user_name: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
}

/// The will fields of a CONNECT's payload.
#[derive(Clone, Debug)]
pub(crate) struct Will {
    pub(crate) properties: Bytes,
    pub(crate) topic: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Connect {
    /// Clean start, no keep alive, nothing else.
    pub(crate) fn new(version: Version, client_id: impl AsRef<[u8]>) -> Self {
        Self {
            version,
            protocol_name: b"MQTT".to_vec(),
            protocol_version: version.number(),
            flags: connect_flag::CLEAN,
            keep_alive: 0,
            properties: Bytes::new(),
            client_id: client_id.as_ref().to_vec(),
            will: None,
            user_name: None,
            password: None,
        }
    }

    /// Goes on with the session there is, if there is one.
    pub(crate) fn resume(mut self) -> Self {
        self.flags &= !connect_flag::CLEAN;
        self
    }

    /// Asks that the session be kept for longer than any test runs.
    pub(crate) fn kept(self) -> Self {
        const KEPT_SECONDS: u32 = 600;
        match self.version {
            Version::V311 => self.resume(),
            Version::V5 => self.session_expiry(KEPT_SECONDS),
        }
    }

    pub(crate) fn session_expiry(self, seconds: u32) -> Self {
        self.property(Bytes::new().u8(property::SESSION_EXPIRY_INTERVAL).u32(seconds))
    }

    pub(crate) fn property(mut self, property: Bytes) -> Self {
        self.properties = self.properties.raw(property.into_vec());
        self
    }

    pub(crate) fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub(crate) fn flag(mut self, flag: u8) -> Self {
        self.flags |= flag;
        self
    }

    pub(crate) fn will(self, topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        self.will_with(Bytes::new(), topic, payload)
    }

    pub(crate) fn will_with(
        mut self,
        properties: Bytes,
        topic: impl AsRef<[u8]>,
        payload: impl AsRef<[u8]>,
    ) -> Self {
        self.will =
            Some(Will { properties, topic: topic.as_ref().to_vec(), payload: payload.as_ref().to_vec() });
        self.flag(connect_flag::WILL)
    }

    pub(crate) fn user_name(mut self, user_name: impl AsRef<[u8]>) -> Self {
        self.user_name = Some(user_name.as_ref().to_vec());
        self.flag(connect_flag::USER_NAME)
    }

    pub(crate) fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.password = Some(password.as_ref().to_vec());
        self.flag(connect_flag::PASSWORD)
    }

    /// Everything behind the fixed header.
    pub(crate) fn body(&self) -> Bytes {
        let mut body = Bytes::new()
            .string(&self.protocol_name)
            .u8(self.protocol_version)
            .u8(self.flags)
            .u16(self.keep_alive)
            .properties(self.version, &self.properties)
            .string(&self.client_id);
        if let Some(will) = &self.will {
            body = body.properties(self.version, &will.properties).string(&will.topic).string(&will.payload);
        }
        for field in [&self.user_name, &self.password].into_iter().flatten() {
            body = body.string(field);
        }
        body
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.body().packet(first_byte::CONNECT)
    }
}

/// A PUBLISH.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) version: Version,
    pub(crate) flags: u8,
    pub(crate) topic: Vec<u8>,
    pub(crate) id: Option<u16>,
    pub(crate) properties: Bytes,
    pub(crate) payload: Vec<u8>,
}

impl Publish {
    /// QoS 0, not retained.
    pub(crate) fn new(version: Version, topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            version,
            flags: 0,
            topic: topic.as_ref().to_vec(),
            id: None,
            properties: Bytes::new(),
            payload: payload.as_ref().to_vec(),
        }
    }

    pub(crate) fn qos(mut self, qos: u8, id: u16) -> Self {
        self.flags |= qos << 1;
        self.id = (qos > 0).then_some(id);
        self
    }

    pub(crate) fn retain(mut self) -> Self {
        self.flags |= 0x01;
        self
    }

    pub(crate) fn dup(mut self) -> Self {
        self.flags |= 0x08;
        self
    }

    pub(crate) fn property(mut self, property: Bytes) -> Self {
        self.properties = self.properties.raw(property.into_vec());
        self
    }

    pub(crate) fn alias(self, alias: u16) -> Self {
        self.property(Bytes::new().u8(property::TOPIC_ALIAS).u16(alias))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = Bytes::new().string(&self.topic);
        if let Some(id) = self.id {
            body = body.u16(id);
        }
        body.properties(self.version, &self.properties)
            .raw(&self.payload)
            .packet(first_byte::PUBLISH | self.flags)
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP in the short form, which both versions share.
pub(crate) fn ack(first_byte: u8, id: u16) -> Vec<u8> {
    Bytes::new().u16(id).packet(first_byte)
}

/// The same of MQTT 5.0 with a reason code.
pub(crate) fn ack_with(first_byte: u8, id: u16, code: u8) -> Vec<u8> {
    Bytes::new().u16(id).u8(code).packet(first_byte)
}

/// A SUBSCRIBE of filters with their options, without properties.
pub(crate) fn subscribe(version: Version, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    subscribe_with(version, id, &Bytes::new(), filters)
}

/// A SUBSCRIBE with properties.
pub(crate) fn subscribe_with(
    version: Version,
    id: u16,
    properties: &Bytes,
    filters: &[(&str, u8)],
) -> Vec<u8> {
    let body = Bytes::new().u16(id).properties(version, properties);
    filters
        .iter()
        .fold(body, |body, (filter, options)| body.string(filter).u8(*options))
        .packet(first_byte::SUBSCRIBE)
}

/// An UNSUBSCRIBE of filters.
pub(crate) fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let body = Bytes::new().u16(id).properties(version, &Bytes::new());
    filters.iter().fold(body, |body, filter| body.string(filter)).packet(first_byte::UNSUBSCRIBE)
}

/// PINGREQ.
pub(crate) const PINGREQ: [u8; 2] = [first_byte::PINGREQ, 0];

/// DISCONNECT without a reason code: normal disconnection in both versions.
pub(crate) const DISCONNECT: [u8; 2] = [first_byte::DISCONNECT, 0];

/// DISCONNECT of MQTT 5.0 with a reason code.
pub(crate) fn disconnect_with(code: u8) -> Vec<u8> {
    Bytes::new().u8(code).packet(first_byte::DISCONNECT)
}
