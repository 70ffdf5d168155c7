//! Reason codes (2.4): which packet may carry which, and what a 3.1.1 client is told instead.

use crate::PacketType;

/// Why a packet was answered, refused or sent (2.4).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are those of table 2-6 of the specification")]
pub enum ReasonCode {
    /// 0x00: also Normal disconnection and Granted QoS 0.
    Success = 0x00,
    GrantedQoS1 = 0x01,
    GrantedQoS2 = 0x02,
    DisconnectWithWillMessage = 0x04,
    NoMatchingSubscribers = 0x10,
    NoSubscriptionExisted = 0x11,
    ContinueAuthentication = 0x18,
    ReAuthenticate = 0x19,
    UnspecifiedError = 0x80,
    MalformedPacket = 0x81,
    ProtocolError = 0x82,
    ImplementationSpecificError = 0x83,
    UnsupportedProtocolVersion = 0x84,
    ClientIdentifierNotValid = 0x85,
    BadUserNameOrPassword = 0x86,
    NotAuthorized = 0x87,
    ServerUnavailable = 0x88,
    ServerBusy = 0x89,
    Banned = 0x8A,
    ServerShuttingDown = 0x8B,
    BadAuthenticationMethod = 0x8C,
    KeepAliveTimeout = 0x8D,
    SessionTakenOver = 0x8E,
    TopicFilterInvalid = 0x8F,
    TopicNameInvalid = 0x90,
    PacketIdentifierInUse = 0x91,
    PacketIdentifierNotFound = 0x92,
    ReceiveMaximumExceeded = 0x93,
    TopicAliasInvalid = 0x94,
    PacketTooLarge = 0x95,
    MessageRateTooHigh = 0x96,
    QuotaExceeded = 0x97,
    AdministrativeAction = 0x98,
    PayloadFormatInvalid = 0x99,
    RetainNotSupported = 0x9A,
    QoSNotSupported = 0x9B,
    UseAnotherServer = 0x9C,
    ServerMoved = 0x9D,
    SharedSubscriptionsNotSupported = 0x9E,
    ConnectionRateExceeded = 0x9F,
    MaximumConnectTime = 0xA0,
    SubscriptionIdentifiersNotSupported = 0xA1,
    WildcardSubscriptionsNotSupported = 0xA2,
}

/// Table 2-6: every code with its name, and the packets that may carry it.
const TABLE: [(ReasonCode, &str, &[PacketType]); 43] = {
    use PacketType::*;
    use ReasonCode::*;
    [
        (Success, "Success", &[ConnAck, PubAck, PubRec, PubRel, PubComp, UnsubAck, Auth, Disconnect, SubAck]),
        (GrantedQoS1, "Granted QoS 1", &[SubAck]),
        (GrantedQoS2, "Granted QoS 2", &[SubAck]),
        (DisconnectWithWillMessage, "Disconnect with Will Message", &[Disconnect]),
        (NoMatchingSubscribers, "No matching subscribers", &[PubAck, PubRec]),
        (NoSubscriptionExisted, "No subscription existed", &[UnsubAck]),
        (ContinueAuthentication, "Continue authentication", &[Auth]),
        (ReAuthenticate, "Re-authenticate", &[Auth]),
        (UnspecifiedError, "Unspecified error", &[ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect]),
        (MalformedPacket, "Malformed Packet", &[ConnAck, Disconnect]),
        (ProtocolError, "Protocol Error", &[ConnAck, Disconnect]),
        (
            ImplementationSpecificError,
            "Implementation specific error",
            &[ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect],
        ),
        (UnsupportedProtocolVersion, "Unsupported Protocol Version", &[ConnAck]),
        (ClientIdentifierNotValid, "Client Identifier not valid", &[ConnAck]),
        (BadUserNameOrPassword, "Bad User Name or Password", &[ConnAck]),
        (NotAuthorized, "Not authorized", &[ConnAck, PubAck, PubRec, SubAck, UnsubAck, Disconnect]),
        (ServerUnavailable, "Server unavailable", &[ConnAck]),
        (ServerBusy, "Server busy", &[ConnAck, Disconnect]),
        (Banned, "Banned", &[ConnAck]),
        (ServerShuttingDown, "Server shutting down", &[Disconnect]),
        (BadAuthenticationMethod, "Bad authentication method", &[ConnAck, Disconnect]),
        (KeepAliveTimeout, "Keep Alive timeout", &[Disconnect]),
        (SessionTakenOver, "Session taken over", &[Disconnect]),
        (TopicFilterInvalid, "Topic Filter invalid", &[SubAck, UnsubAck, Disconnect]),
        (TopicNameInvalid, "Topic Name invalid", &[ConnAck, PubAck, PubRec, Disconnect]),
        (PacketIdentifierInUse, "Packet Identifier in use", &[PubAck, PubRec, SubAck, UnsubAck]),
        (PacketIdentifierNotFound, "Packet Identifier not found", &[PubRel, PubComp]),
        (ReceiveMaximumExceeded, "Receive Maximum exceeded", &[Disconnect]),
        (TopicAliasInvalid, "Topic Alias invalid", &[Disconnect]),
        (PacketTooLarge, "Packet too large", &[ConnAck, Disconnect]),
        (MessageRateTooHigh, "Message rate too high", &[Disconnect]),
        (QuotaExceeded, "Quota exceeded", &[ConnAck, PubAck, PubRec, SubAck, Disconnect]),
        (AdministrativeAction, "Administrative action", &[Disconnect]),
        (PayloadFormatInvalid, "Payload format invalid", &[ConnAck, PubAck, PubRec, Disconnect]),
        (RetainNotSupported, "Retain not supported", &[ConnAck, Disconnect]),
        (QoSNotSupported, "QoS not supported", &[ConnAck, Disconnect]),
        (UseAnotherServer, "Use another server", &[ConnAck, Disconnect]),
        (ServerMoved, "Server moved", &[ConnAck, Disconnect]),
        (SharedSubscriptionsNotSupported, "Shared Subscriptions not supported", &[SubAck, Disconnect]),
        (ConnectionRateExceeded, "Connection rate exceeded", &[ConnAck, Disconnect]),
        (MaximumConnectTime, "Maximum connect time", &[Disconnect]),
        (
            SubscriptionIdentifiersNotSupported,
            "Subscription Identifiers not supported",
            &[SubAck, Disconnect],
        ),
        (WildcardSubscriptionsNotSupported, "Wildcard Subscriptions not supported", &[SubAck, Disconnect]),
    ]
};

/// The codes by their numbers.
const BY_NUMBER: [Option<ReasonCode>; 256] = {
    let mut codes = [None; 256];
    let mut row = 0;
    while row < TABLE.len() {
        codes[TABLE[row].0 as usize] = Some(TABLE[row].0);
        row += 1;
    }
    codes
};

/// Which packet types may carry the code of a number: one bit for each type.
const PACKETS_BY_NUMBER: [u16; 256] = {
    let mut packets = [0; 256];
    let mut row = 0;
    while row < TABLE.len() {
        let (code, _, carriers) = TABLE[row];
        let mut carrier = 0;
        while carrier < carriers.len() {
            packets[code as usize] |= 1 << carriers[carrier] as u16;
            carrier += 1;
        }
        row += 1;
    }
    packets
};

/// What 3.1.1 answers to a CONNECT (table 3.1 of 3.1.1), by return code.
const CONNECT_RETURN_CODES: [ReasonCode; 6] = [
    ReasonCode::Success,
    ReasonCode::UnsupportedProtocolVersion,
    ReasonCode::ClientIdentifierNotValid,
    ReasonCode::ServerUnavailable,
    ReasonCode::BadUserNameOrPassword,
    ReasonCode::NotAuthorized,
];

impl ReasonCode {
    /// Whether the code says that something failed (2.4: 0x80 and above).
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The code of a number on the wire of 5.0.
    #[inline]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        BY_NUMBER[byte as usize]
    }

    /// Whether this packet may carry the code (table 2-6).
    #[inline]
    pub const fn is_allowed_in(self, packet: PacketType) -> bool {
        PACKETS_BY_NUMBER[self as usize] & (1 << packet as u16) != 0
    }

    /// The name of table 2-6. Success is also called Normal disconnection and Granted QoS 0.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(code, ..)| *code == self).map_or("", |(_, name, _)| name)
    }

    /// What a 3.1.1 client is told in CONNACK: the return code that comes closest.
    ///
    /// `None` if 3.1.1 has nothing of the kind: then the connection is closed without a CONNACK
    /// ([MQTT-3.2.2-6] of 3.1.1).
    pub const fn connect_return_code(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::UnsupportedProtocolVersion => Some(1),
            Self::ClientIdentifierNotValid => Some(2),
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => Some(3),
            Self::BadUserNameOrPassword => Some(4),
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => Some(5),
            Self::GrantedQoS1
            | Self::GrantedQoS2
            | Self::DisconnectWithWillMessage
            | Self::NoMatchingSubscribers
            | Self::NoSubscriptionExisted
            | Self::ContinueAuthentication
            | Self::ReAuthenticate
            | Self::UnspecifiedError
            | Self::MalformedPacket
            | Self::ProtocolError
            | Self::ImplementationSpecificError
            | Self::KeepAliveTimeout
            | Self::SessionTakenOver
            | Self::TopicFilterInvalid
            | Self::TopicNameInvalid
            | Self::PacketIdentifierInUse
            | Self::PacketIdentifierNotFound
            | Self::ReceiveMaximumExceeded
            | Self::TopicAliasInvalid
            | Self::PacketTooLarge
            | Self::MessageRateTooHigh
            | Self::AdministrativeAction
            | Self::PayloadFormatInvalid
            | Self::RetainNotSupported
            | Self::QoSNotSupported
            | Self::SharedSubscriptionsNotSupported
            | Self::MaximumConnectTime
            | Self::SubscriptionIdentifiersNotSupported
            | Self::WildcardSubscriptionsNotSupported => None,
        }
    }

    /// What a return code in the CONNACK of 3.1.1 means.
    pub fn from_connect_return_code(code: u8) -> Option<Self> {
        CONNECT_RETURN_CODES.get(usize::from(code)).copied()
    }

    /// What a 3.1.1 client is told in SUBACK: the granted level, or failure (3.9.3 of 3.1.1).
    pub const fn subscribe_return_code(self) -> u8 {
        if self.is_error() { Self::UnspecifiedError as u8 } else { self as u8 }
    }

    /// What a return code in the SUBACK of 3.1.1 means.
    pub const fn from_subscribe_return_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            1 => Some(Self::GrantedQoS1),
            2 => Some(Self::GrantedQoS2),
            0x80 => Some(Self::UnspecifiedError),
            _ => None,
        }
    }

    /// The number on the wire of 5.0.
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_code_once_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0.byte() < pair[1].0.byte()));
        for (code, name, packets) in TABLE {
            assert_eq!(ReasonCode::from_byte(code.byte()), Some(code));
            assert_eq!(code.to_string(), name);
            assert!(!packets.is_empty(), "{name}");
        }
        assert_eq!((0..=255).filter_map(ReasonCode::from_byte).count(), TABLE.len());
    }

    #[test]
    fn a_packet_carries_as_many_codes_as_its_section_lists() {
        let codes = |packet| TABLE.iter().filter(|(code, ..)| code.is_allowed_in(packet)).count();
        assert_eq!(codes(PacketType::ConnAck), 22); // table 3-1
        assert_eq!(codes(PacketType::PubAck), 9); // table 3-4
        assert_eq!(codes(PacketType::PubRec), 9); // table 3-5
        assert_eq!(codes(PacketType::PubRel), 2); // table 3-6
        assert_eq!(codes(PacketType::PubComp), 2); // table 3-7
        assert_eq!(codes(PacketType::SubAck), 12); // table 3-8
        assert_eq!(codes(PacketType::UnsubAck), 7); // table 3-9
        assert_eq!(codes(PacketType::Disconnect), 30); // table 3-10 has 29; table 2-6 adds Bad authentication method
        assert_eq!(codes(PacketType::Auth), 3); // table 3-11
        assert_eq!(codes(PacketType::Publish), 0);
    }

    #[test]
    fn a_return_code_of_3_1_1_survives_both_ways() {
        for code in 0..=5 {
            let reason = ReasonCode::from_connect_return_code(code).unwrap();
            assert_eq!(reason.connect_return_code(), Some(code));
        }
        assert_eq!(ReasonCode::from_connect_return_code(6), None);
        for code in [0, 1, 2, 0x80] {
            assert_eq!(ReasonCode::from_subscribe_return_code(code).unwrap().subscribe_return_code(), code);
        }
        assert_eq!(ReasonCode::NotAuthorized.subscribe_return_code(), 0x80);
        assert_eq!(ReasonCode::MalformedPacket.connect_return_code(), None);
    }
}
