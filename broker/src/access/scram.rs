//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: an enhanced authentication method (4.12).
//!
//! The password file keeps what a server needs and no password: salt, iterations, stored key and server key. Not here:
//! channel binding, which the client is told that we do not have; the packets that carry the messages.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::OnceLock;

use argon2::password_hash::generate_salt;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use rivulet_protocol::ReasonCode;

/// The name of the method in CONNECT and AUTH.
pub(crate) const METHOD: &str = "SCRAM-SHA-256";

/// What a line of the password file begins with that holds such credentials.
pub(crate) const SCHEME: &str = "SCRAM-SHA-256$";

/// Rounds of the password hash for new entries; RFC 7677 asks for at least 4,096.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(15_000).expect("it is not zero");

/// The fewest rounds taken from a file.
pub(crate) const ITERATIONS_MIN: u32 = 4_096;

/// The most rounds taken from a file: the client computes them, and a device has little time.
pub(crate) const ITERATIONS_MAX: u32 = 1_000_000;

/// Bytes of salt for new entries.
const SALT_BYTES: usize = 16;

/// The longest message taken from a client, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

const KEY_BYTES: usize = 32;

type Key = [u8; KEY_BYTES];

/// What the server knows of one user.
#[derive(Clone, Eq, PartialEq)]
pub struct StoredKeys {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

/// Why an exchange ended without a proof.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScramError {
    /// The text is no message of SCRAM at this point.
    #[error("client's SCRAM message has no valid {0}")]
    Malformed(&'static str),
    /// It wants what we do not do.
    #[error("client asks for SCRAM with {0}, which is not offered")]
    NotOffered(&'static str),
    /// The name is unknown, or the proof does not fit its password.
    #[error("user name or password is wrong")]
    Refused,
}

/// Why a text is no stored entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected {SCHEME}iterations:salt$stored-key:server-key, the last three in base64, {ITERATIONS_MIN} to {ITERATIONS_MAX} iterations"
)]
pub struct StoredKeysError;

impl StoredKeys {
    /// Derives the keys of a password with a salt of its own, for the password file.
    pub(crate) fn derive(password: &str) -> Self {
        Self::derive_with(password.as_bytes(), generate_salt()[..SALT_BYTES].to_vec(), ITERATIONS)
    }

    fn derive_with(password: &[u8], salt: Vec<u8>, iterations: NonZeroU32) -> Self {
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password, &mut salted);
        let client_key = keyed(&salted, b"Client Key");
        Self { iterations, salt, stored_key: hashed(&client_key), server_key: keyed(&salted, b"Server Key") }
    }

    /// Keys that no password has, for a user who does not exist. Their salt is a function of the name, so that asking
    /// twice does not tell that the user is made up.
    fn unknown(username: &str, secret: &Key) -> Self {
        let salt = keyed(secret, username.as_bytes())[..SALT_BYTES].to_vec();
        Self { iterations: ITERATIONS, salt, stored_key: [0; KEY_BYTES], server_key: [0; KEY_BYTES] }
    }
}

impl ScramError {
    /// What the client is told (3.2.2.2).
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::Malformed(_) | Self::NotOffered(_) => ReasonCode::NotAuthorized,
            Self::Refused => ReasonCode::BadUserNameOrPassword,
        }
    }
}

impl FromStr for StoredKeys {
    type Err = StoredKeysError;

    fn from_str(text: &str) -> Result<Self, StoredKeysError> {
        let parse = || {
            let (head, keys) = text.strip_prefix(SCHEME)?.split_once('$')?;
            let (iterations, salt) = head.split_once(':')?;
            let (stored_key, server_key) = keys.split_once(':')?;
            let iterations = iterations.parse().ok()?;
            (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&NonZeroU32::get(iterations)).then_some(())?;
            Some(Self {
                iterations,
                salt: BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?,
                stored_key: BASE64.decode(stored_key).ok()?.try_into().ok()?,
                server_key: BASE64.decode(server_key).ok()?.try_into().ok()?,
            })
        };
        parse().ok_or(StoredKeysError)
    }
}

impl fmt::Display for StoredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored_key, server_key] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        write!(f, "{SCHEME}{}:{salt}${stored_key}:{server_key}", self.iterations)
    }
}

impl fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// An exchange in which the client has said who it is, and has yet to prove it.
#[derive(Clone, Eq, PartialEq)]
pub struct AwaitProof {
    username: String,
    keys: StoredKeys,
    known: bool,
    /// The header of the client's first message, as it has to repeat it: base64.
    binding: String,
    nonce: String,
    /// The client's first message without its header, and ours: what both sides sign.
    signed_so_far: String,
}

impl fmt::Debug for AwaitProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitProof").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A client that has proven who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proven {
    /// Who.
    pub(crate) username: String,
    /// The server's last message, which proves to the client that the server knows it.
    pub(crate) server_final: String,
}

impl AwaitProof {
    /// Takes the client's first message and answers it. `lookup` finds a user's keys; a user who has none is led on to
    /// the end, so that names cannot be found out. `server_nonce` is fresh randomness in printable characters without
    /// commas; `secret` is the server's own and stays the same between exchanges ([`secret`]).
    ///
    /// # Errors
    ///
    /// The message is no `client-first-message`, or asks for channel binding or for another's identity.
    pub(crate) fn begin(
        client_first: &[u8],
        server_nonce: &str,
        secret: &Key,
        lookup: impl FnOnce(&str) -> Option<StoredKeys>,
    ) -> Result<(Self, String), ScramError> {
        let text = message(client_first)?;
        let (header, bare) = match text.split_at_checked(3) {
            Some((header @ ("n,," | "y,,"), bare)) => (header, bare),
            _ if text.starts_with("p=") => return Err(ScramError::NotOffered("channel binding")),
            _ if text.starts_with("n,a=") || text.starts_with("y,a=") => {
                return Err(ScramError::NotOffered("an authorization identity"));
            }
            _ => return Err(ScramError::Malformed("header")),
        };
        let mut attributes = bare.split(',');
        let username = attributes.next().and_then(|name| name.strip_prefix("n=")).and_then(unescape);
        let username = username.ok_or(ScramError::Malformed("user name"))?;
        let nonce =
            attributes.next().and_then(|nonce| nonce.strip_prefix("r=")).filter(|nonce| is_nonce(nonce));
        let nonce = format!("{}{server_nonce}", nonce.ok_or(ScramError::Malformed("nonce"))?);
        let found = lookup(&username);
        let known = found.is_some();
        let keys = found.unwrap_or_else(|| StoredKeys::unknown(&username, secret));
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        let signed_so_far = format!("{bare},{server_first}");
        let binding = BASE64.encode(header);
        Ok((Self { username, keys, known, binding, nonce, signed_so_far }, server_first))
    }

    /// Takes the client's last message: its proof.
    ///
    /// # Errors
    ///
    /// The message is no `client-final-message` of this exchange, or the proof does not fit.
    pub(crate) fn prove(self, client_final: &[u8]) -> Result<Proven, ScramError> {
        let text = message(client_final)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed("proof"))?;
        let proof: Key = BASE64
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or(ScramError::Malformed("proof"))?;
        let mut attributes = without_proof.split(',');
        if attributes.next().and_then(|binding| binding.strip_prefix("c=")) != Some(self.binding.as_str()) {
            return Err(ScramError::Malformed("channel binding"));
        }
        if attributes.next().and_then(|nonce| nonce.strip_prefix("r=")) != Some(self.nonce.as_str()) {
            return Err(ScramError::Malformed("nonce"));
        }
        let signed = format!("{},{without_proof}", self.signed_so_far);
        let client_signature = keyed(&self.keys.stored_key, signed.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(client_signature).for_each(|(byte, mask)| *byte ^= mask);
        if !(is_same(&hashed(&client_key), &self.keys.stored_key) && self.known) {
            return Err(ScramError::Refused);
        }
        let server_final = format!("v={}", BASE64.encode(keyed(&self.keys.server_key, signed.as_bytes())));
        Ok(Proven { username: self.username, server_final })
    }
}

fn message(bytes: &[u8]) -> Result<&str, ScramError> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MESSAGE_BYTES_MAX);
    text.ok_or(ScramError::Malformed("text"))
}

/// Printable characters but the comma (RFC 5802, section 7).
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// `=2C` stands for a comma and `=3D` for an equals sign; no other use of `=` is valid (RFC 5802, section 5.1).
fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (escape, rest) = part.split_at_checked(2)?;
        plain.push(match escape {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        plain.push_str(rest);
    }
    (!plain.is_empty()).then_some(plain)
}

/// What the salts of unknown users are made of, for as long as the process runs.
pub(crate) fn secret() -> &'static Key {
    static SECRET: OnceLock<Key> = OnceLock::new();
    SECRET.get_or_init(|| hashed(&[generate_salt(), generate_salt()].concat()))
}

/// Fresh randomness in printable characters, for [`AwaitProof::begin`].
pub(crate) fn nonce() -> String {
    BASE64.encode(generate_salt())
}

fn keyed(key: &Key, text: &[u8]) -> Key {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    tag.as_ref().try_into().expect("HMAC with SHA-256 has 32 bytes")
}

fn hashed(text: &[u8]) -> Key {
    let hash = digest::digest(&digest::SHA256, text);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Takes the same time whatever differs: compares under a key of its own.
fn is_same(one: &Key, other: &Key) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret());
    hmac::verify(&key, one, hmac::sign(&key, other).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Key = [9; KEY_BYTES];

    // The example exchange of RFC 7677, section 3.
    const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn keys() -> StoredKeys {
        let iterations = NonZeroU32::new(4096).unwrap();
        StoredKeys::derive_with(b"pencil", BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), iterations)
    }

    fn begin(client_first: &str) -> Result<(AwaitProof, String), ScramError> {
        AwaitProof::begin(client_first.as_bytes(), SERVER_NONCE, &SECRET, |name| (name == "user").then(keys))
    }

    #[test]
    fn the_exchange_of_the_standard_succeeds_to_the_letter() {
        let (exchange, server_first) = begin(CLIENT_FIRST).unwrap();
        assert_eq!(server_first, SERVER_FIRST);
        let proven = exchange.prove(CLIENT_FINAL.as_bytes()).unwrap();
        assert_eq!(proven, Proven { username: "user".into(), server_final: SERVER_FINAL.into() });
    }

    #[test]
    fn a_wrong_proof_is_refused() {
        let (exchange, _) = begin(CLIENT_FIRST).unwrap();
        let wrong = CLIENT_FINAL.replace("p=dHz", "p=dHy");
        assert_eq!(exchange.prove(wrong.as_bytes()), Err(ScramError::Refused));
    }

    #[test]
    fn an_unknown_user_is_led_on_with_a_salt_that_stays_the_same_and_is_refused_at_the_end() {
        let stranger = CLIENT_FIRST.replace("n=user", "n=nobody");
        let (exchange, first) = begin(&stranger).unwrap();
        assert_eq!(begin(&stranger).unwrap().1, first);
        let answer = first.split(',').next().unwrap();
        let proof = BASE64.encode([0; KEY_BYTES]);
        assert_eq!(exchange.prove(format!("c=biws,{answer},p={proof}").as_bytes()), Err(ScramError::Refused));
    }

    /// With a stored key of zeros a proof could be made without a password if the user's absence were not remembered.
    #[test]
    fn a_proof_made_for_the_keys_of_nobody_is_refused() {
        let exchange = AwaitProof { known: false, ..begin(CLIENT_FIRST).unwrap().0 };
        assert_eq!(exchange.prove(CLIENT_FINAL.as_bytes()), Err(ScramError::Refused));
    }

    #[test]
    fn the_header_of_the_first_message_is_repeated() {
        let (exchange, _) = begin(CLIENT_FIRST).unwrap();
        let other = CLIENT_FINAL.replace("c=biws", "c=eSws");
        assert_eq!(exchange.prove(other.as_bytes()), Err(ScramError::Malformed("channel binding")));
    }

    #[test]
    fn a_nonce_of_another_exchange_is_refused() {
        let (exchange, _) = begin(CLIENT_FIRST).unwrap();
        let replayed = CLIENT_FINAL.replace("rOpr", "rOpR");
        assert_eq!(exchange.prove(replayed.as_bytes()), Err(ScramError::Malformed("nonce")));
    }

    #[test]
    fn channel_binding_and_foreign_identities_are_not_offered() {
        assert_eq!(
            begin("p=tls-exporter,,n=user,r=abc").unwrap_err(),
            ScramError::NotOffered("channel binding")
        );
        let foreign = begin("n,a=admin,n=user,r=abc").unwrap_err();
        assert_eq!(foreign, ScramError::NotOffered("an authorization identity"));
    }

    #[test]
    fn malformed_messages_are_told_apart_and_never_panic() {
        for (first, what) in [
            ("", "header"),
            ("n", "header"),
            ("n,,", "user name"),
            ("n,,n=", "user name"),
            ("n,,n=a=b,r=x", "user name"),
            ("n,,n=user", "nonce"),
            ("n,,n=user,r=", "nonce"),
            ("n,,n=user,r=a b", "nonce"),
        ] {
            assert_eq!(begin(first).unwrap_err(), ScramError::Malformed(what), "{first:?}");
        }
        for (last, what) in [("", "proof"), ("c=biws,r=x,p=!", "proof"), ("c=biws,r=x,p=AAAA", "proof")] {
            let (exchange, _) = begin(CLIENT_FIRST).unwrap();
            assert_eq!(exchange.prove(last.as_bytes()), Err(ScramError::Malformed(what)), "{last:?}");
        }
        assert_eq!(message(&[0xFF]).unwrap_err(), ScramError::Malformed("text"));
    }

    #[test]
    fn escaped_names_are_read_back() {
        assert_eq!(unescape("a=2Cb=3Dc").as_deref(), Some("a,b=c"));
        assert_eq!(unescape("a=2"), None);
        assert_eq!(unescape("a=2c"), None);
    }

    #[test]
    fn stored_keys_survive_the_file_and_bad_ones_are_refused() {
        let text = keys().to_string();
        assert_eq!(text.parse(), Ok(keys()));
        for bad in [
            "",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA==",
            &text.replace("4096", "10"),
            &text.replace("4096", "4000000000"),
            &text[..text.len() - 4],
        ] {
            assert_eq!(bad.parse::<StoredKeys>(), Err(StoredKeysError), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_never_printed() {
        assert_eq!(format!("{:?}", keys()), "StoredKeys { iterations: 4096, .. }");
    }
}
