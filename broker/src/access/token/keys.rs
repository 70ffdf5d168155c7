//! Public keys of those who sign tokens: a JSON Web Key Set (RFC 7517) in a file.
//!
//! Keys of kinds that we do not use (other algorithms, encryption, shared secrets) are passed over: a set that others
//! publish may hold them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

use crate::access::shown;

/// Most keys that a set may have: a token without a key identifier is tried against all of its kind.
pub const KEYS_MAX: usize = 32;

const P256_COORDINATE_BYTES: usize = 32;
const ED25519_BYTES: usize = 32;
/// Says that both coordinates follow (SEC 1, 2.3.3).
const UNCOMPRESSED_POINT: u8 = 4;
/// Moduli that RS256 is verified with, in bytes: 2,048 to 8,192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

/// A signature algorithm that we allow (RFC 7518, 3.1; RFC 8037, 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// As a token spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Keys that can verify.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    public: PublicKey,
}

/// A key is of one kind and serves one algorithm, whatever a token says.
#[derive(Clone, Debug)]
enum PublicKey {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256([u8; 1 + 2 * P256_COORDINATE_BYTES]),
    Ed25519([u8; ED25519_BYTES]),
}

/// What is wrong with a key set.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeySetFault {
    /// No JSON, or not of the right form.
    #[error("expected a JSON Web Key Set, an object with a list `keys`: {0}")]
    Malformed(String),
    /// A key of our kinds lacks something.
    #[error("key {number}: {problem}")]
    Key {
        /// Which, counted from 1.
        number: usize,
        /// What.
        problem: KeyProblem,
    },
    /// Nothing that we can use.
    #[error("holds no key for RS256, ES256 or EdDSA signatures")]
    Empty,
    /// Too many.
    #[error("holds {0} keys, we allow {KEYS_MAX}")]
    TooMany(usize),
}

/// How a key is wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyProblem {
    /// A member is missing or wrong.
    #[error("member `{0}` is missing, or not {1} in base64url")]
    Member(&'static str, &'static str),
    /// A secret does not belong here.
    #[error("member `d` is the private key; leave only the public members here, and replace that key")]
    Private,
    /// Two keys of one name.
    #[error("key identifier `{0}` stands twice")]
    Repeated(String),
}

#[derive(Deserialize)]
struct RawKeySet {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<String>,
}

impl KeySet {
    /// The keys of a file's text.
    ///
    /// # Errors
    ///
    /// Every fault of the set.
    pub fn parse(text: &str) -> Result<Self, Vec<KeySetFault>> {
        let set: RawKeySet =
            serde_json::from_str(text).map_err(|error| vec![KeySetFault::Malformed(error.to_string())])?;
        if set.keys.len() > KEYS_MAX {
            return Err(vec![KeySetFault::TooMany(set.keys.len())]);
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut faults = Vec::new();
        for (index, raw) in set.keys.into_iter().enumerate() {
            let key = raw.into_key().and_then(|key| match key {
                Some(key) if key.id.is_some() && keys.iter().any(|other| other.id == key.id) => {
                    Err(KeyProblem::Repeated(shown(&key.id.unwrap_or_default())))
                }
                key => Ok(key),
            });
            match key {
                Ok(key) => keys.extend(key),
                Err(problem) => faults.push(KeySetFault::Key { number: index + 1, problem }),
            }
        }
        if faults.is_empty() && keys.is_empty() {
            faults.push(KeySetFault::Empty);
        }
        if faults.is_empty() { Ok(Self { keys }) } else { Err(faults) }
    }

    /// Whether there is a key that a token with this algorithm and key identifier may have been signed with.
    pub fn has_key(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        self.candidates(algorithm, id).next().is_some()
    }

    /// Whether one of those keys has made this signature.
    pub fn verifies(&self, algorithm: Algorithm, id: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        self.candidates(algorithm, id).any(|key| key.public.verifies(message, signature))
    }

    fn candidates<'a>(&'a self, algorithm: Algorithm, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let fits = move |key: &&Key| {
            key.public.algorithm() == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id))
        };
        self.keys.iter().filter(fits)
    }
}

impl PublicKey {
    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

impl RawKey {
    /// The key; `None` if it is of a kind that we do not use.
    fn into_key(self) -> Result<Option<Key>, KeyProblem> {
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Algorithm::Rs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            _ => return Ok(None),
        };
        let is_for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        if !is_for_signatures || self.alg.as_deref().is_some_and(|alg| alg != algorithm.name()) {
            return Ok(None);
        }
        if self.d.is_some() {
            return Err(KeyProblem::Private);
        }
        let public = match algorithm {
            Algorithm::Rs256 => {
                let modulus = bytes(self.n.as_deref())
                    .filter(|modulus| RSA_MODULUS_BYTES.contains(&modulus.len()))
                    .ok_or(KeyProblem::Member("n", "a modulus of 2048 to 8192 bits"))?;
                let exponent = bytes(self.e.as_deref())
                    .filter(|exponent| !exponent.is_empty())
                    .ok_or(KeyProblem::Member("e", "an exponent"))?;
                PublicKey::Rsa { modulus, exponent }
            }
            Algorithm::Es256 => {
                const COORDINATE: &str = "a coordinate of 32 bytes";
                let mut point = [UNCOMPRESSED_POINT; 1 + 2 * P256_COORDINATE_BYTES];
                let x = fixed::<P256_COORDINATE_BYTES>(self.x.as_deref());
                let y = fixed::<P256_COORDINATE_BYTES>(self.y.as_deref());
                let (x, y) = (
                    x.ok_or(KeyProblem::Member("x", COORDINATE))?,
                    y.ok_or(KeyProblem::Member("y", COORDINATE))?,
                );
                point[1..].copy_from_slice(&[x, y].concat());
                PublicKey::P256(point)
            }
            Algorithm::EdDsa => PublicKey::Ed25519(
                fixed(self.x.as_deref()).ok_or(KeyProblem::Member("x", "a key of 32 bytes"))?,
            ),
        };
        Ok(Some(Key { id: self.kid, public }))
    }
}

fn bytes(member: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(member?).ok()
}

fn fixed<const N: usize>(member: Option<&str>) -> Option<[u8; N]> {
    bytes(member)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn faults(keys: &str) -> Vec<String> {
        KeySet::parse(&format!("{{\"keys\":[{keys}]}}"))
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_fault_of_a_set_is_told_at_once() {
        let keys = format!(
            r#"{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{X}"}},
               {{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{X}"}},
               {{"kty":"OKP","crv":"Ed25519","x":"AAAA"}},
               {{"kty":"EC","crv":"P-256","x":"{X}"}},
               {{"kty":"RSA","n":"AQAB","e":"AQAB"}},
               {{"kty":"OKP","crv":"Ed25519","kid":"b","x":"{X}","d":"{X}"}}"#
        );
        assert_eq!(
            faults(&keys),
            [
                "key 2: key identifier `a` stands twice",
                "key 3: member `x` is missing, or not a key of 32 bytes in base64url",
                "key 4: member `y` is missing, or not a coordinate of 32 bytes in base64url",
                "key 5: member `n` is missing, or not a modulus of 2048 to 8192 bits in base64url",
                "key 6: member `d` is the private key; leave only the public members here, and replace that key",
            ]
        );
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over_and_a_set_of_nothing_else_is_a_fault() {
        let others = r#"{"kty":"oct","k":"c2VjcmV0"},{"kty":"EC","crv":"P-384","x":"AA","y":"AA"},
            {"kty":"RSA","use":"enc","n":"AA","e":"AQAB"},{"kty":"RSA","alg":"RS512","n":"AA","e":"AQAB"}"#;
        assert_eq!(faults(others), ["holds no key for RS256, ES256 or EdDSA signatures"]);
        let set = format!(r#"{{"keys":[{others},{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}]}}"#);
        let set = KeySet::parse(&set).unwrap();
        assert!(set.has_key(Algorithm::EdDsa, None) && !set.has_key(Algorithm::Rs256, None));
        assert!(!set.has_key(Algorithm::EdDsa, Some("a")));
    }

    #[test]
    fn what_is_no_key_set_is_a_fault() {
        for text in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[{}]}"] {
            assert!(matches!(KeySet::parse(text).unwrap_err()[..], [KeySetFault::Malformed(_)]), "{text}");
        }
        let many = vec![r#"{"kty":"oct"}"#; KEYS_MAX + 1].join(",");
        assert_eq!(faults(&many), ["holds 33 keys, we allow 32"]);
    }
}
