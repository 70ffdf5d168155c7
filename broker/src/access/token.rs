//! Signed tokens (JSON Web Tokens, RFC 7519) in the place of a password.
//!
//! Three algorithms are allowed, each only with a key of its kind: RS256, ES256, EdDSA. `none` and shared secrets are
//! refused by not being there. A token must say when it expires; the connection that it opened ends then.
//!
//! | claim | checked |
//! |---|---|
//! | `exp` | must be there, and not be past |
//! | `nbf` | if there, must not be to come |
//! | `iss`, `aud` | must be what the configuration names, if it names one |
//! | the claim for the user name, `sub` by default | if there, it is the proven user name |
//! | the claim for the client identifier, none by default | if configured, must be there and be the client's |
//! | `publish`, `subscribe` | if there, lists of topic filters that narrow what the access rules allow |
//!
//! Signatures are verified by `ring`, which is the broker's TLS as well; the clock is an argument.
//!
//! Not here: where keys come from (`keys`), and what happens when a token runs out (the core).

pub mod keys;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rivulet_core::WallTime;
use rivulet_protocol::ReasonCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::grants::{GrantFault, Grants, Lists};
use super::shown;
use keys::{Algorithm, KeySet};

/// Longest token, in bytes. A longer one is refused before it is looked at.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Seconds after 1970 that a claim may speak of: up to the year 9999. What is beyond is taken for a mistake in the unit.
const SECONDS_MAX: f64 = 253_402_300_799.0;

const MILLIS_PER_SECOND: f64 = 1_000.0;

/// What a token is measured by.
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    /// Whose signatures count.
    pub keys: KeySet,
    /// Who must have issued it; `None`: anyone with a key.
    pub issuer: Option<String>,
    /// For whom it must be meant; `None`: for anyone.
    pub audience: Option<String>,
    /// How far the issuer's clock may be from ours.
    pub leeway: Duration,
    /// The claim that holds the user name, if any.
    pub username_claim: Option<String>,
    /// The claim that must hold the client identifier, if any.
    pub client_id_claim: Option<String>,
}

/// What a token proves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenProof {
    /// The user name, if it names one.
    pub username: Option<String>,
    /// When it runs out.
    pub expires: WallTime,
    /// What it narrows.
    pub grants: Grants,
}

/// Why a token is not accepted. Never shows the token.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TokenFault {
    /// No token at all: something else was sent in its place.
    #[error("password is no token")]
    NoToken,
    /// Too long.
    #[error("token has {0} bytes, we allow {TOKEN_BYTES_MAX}")]
    TooLong(usize),
    /// Signed in a way that we do not allow.
    #[error("token is signed with `{0}`, we allow RS256, ES256 and EdDSA")]
    Algorithm(String),
    /// It asks for an extension (RFC 7515, 4.1.11).
    #[error("token asks for extensions by `crit`, we know none")]
    Critical,
    /// Nobody that we know has signed it.
    #[error("token names key `{key}` for {algorithm}, which is not in the key set")]
    UnknownKey {
        /// What it names; `-` for nothing.
        key: String,
        /// The algorithm.
        algorithm: &'static str,
    },
    /// The signature is another's, or the token was changed.
    #[error("signature of the token is wrong")]
    Signature,
    /// A claim is missing or not of its type.
    #[error("claim `{claim}` of the token must be {expected}")]
    Claim {
        /// Which.
        claim: String,
        /// What it must be.
        expected: &'static str,
    },
    /// Too late.
    #[error("token expired {0:?} ago")]
    Expired(Duration),
    /// Too early.
    #[error("token is valid only in {0:?}")]
    NotYetValid(Duration),
    /// Issued by another.
    #[error("token was issued by `{0}`")]
    Issuer(String),
    /// Meant for others.
    #[error("token is for another audience")]
    Audience,
    /// Another client's.
    #[error("token is for client `{0}`")]
    ClientId(String),
    /// Its lists.
    #[error("token: {0}")]
    Grants(GrantFault),
}

impl TokenFault {
    /// What the client is told.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::NoToken
            | Self::TooLong(_)
            | Self::Algorithm(_)
            | Self::Critical
            | Self::UnknownKey { .. }
            | Self::Signature
            | Self::Claim { .. }
            | Self::Expired(_)
            | Self::NotYetValid(_)
            | Self::Issuer(_)
            | Self::Audience => ReasonCode::BadUserNameOrPassword,
            Self::ClientId(_) | Self::Grants(_) => ReasonCode::NotAuthorized,
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl TokenVerifier {
    /// What a token proves about a client.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it; [`TokenFault::NoToken`] if it is none.
    pub fn verify(
        &self,
        now: WallTime,
        token: &[u8],
        client_id: Option<&str>,
    ) -> Result<TokenProof, TokenFault> {
        let claims = self.verified_claims(token)?;
        let expires = claims.instant("exp")?.ok_or_else(|| claims.fault("exp", EXPECTED_INSTANT))?;
        // Our clock may be ahead of the issuer's by the leeway, so that the end comes later by as much.
        let expires = expires + self.leeway;
        if expires <= now {
            return Err(TokenFault::Expired(now - expires));
        }
        if let Some(not_before) = claims.instant("nbf")?
            && not_before > now + self.leeway
        {
            return Err(TokenFault::NotYetValid(not_before - now));
        }
        self.check_origin(&claims)?;
        if let Some(claim) = &self.client_id_claim {
            let named = claims.text(claim)?.ok_or_else(|| claims.fault(claim, "the client identifier"))?;
            if client_id != Some(named.as_str()) {
                return Err(TokenFault::ClientId(shown(&named)));
            }
        }
        let username = self.username_claim.as_ref().map(|claim| claims.text(claim)).transpose()?.flatten();
        let lists = Lists { publish: claims.list("publish")?, subscribe: claims.list("subscribe")? };
        let grants = Grants::parse(lists).map_err(TokenFault::Grants)?;
        Ok(TokenProof { username, expires, grants })
    }

    fn verified_claims(&self, token: &[u8]) -> Result<Claims, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong(token.len()));
        }
        let token = std::str::from_utf8(token).map_err(|_| TokenFault::NoToken)?;
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::NoToken)?;
        let (header, payload) = message.split_once('.').ok_or(TokenFault::NoToken)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::NoToken);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header: Header = serde_json::from_slice(&header).map_err(|_| TokenFault::NoToken)?;
        let algorithm =
            Algorithm::parse(&header.alg).ok_or_else(|| TokenFault::Algorithm(shown(&header.alg)))?;
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        let key = header.kid.as_deref();
        if !self.keys.has_key(algorithm, key) {
            return Err(TokenFault::UnknownKey {
                key: shown(key.unwrap_or("-")),
                algorithm: algorithm.name(),
            });
        }
        if !self.keys.verifies(algorithm, key, message.as_bytes(), &signature) {
            return Err(TokenFault::Signature);
        }
        let claims = serde_json::from_slice(&payload)
            .map_err(|_| TokenFault::Claim { claim: "payload".to_owned(), expected: "a JSON object" })?;
        Ok(Claims(claims))
    }

    fn check_origin(&self, claims: &Claims) -> Result<(), TokenFault> {
        if let Some(issuer) = &self.issuer {
            let named = claims.text("iss")?.ok_or_else(|| claims.fault("iss", "the issuer"))?;
            if named != *issuer {
                return Err(TokenFault::Issuer(shown(&named)));
            }
        }
        if let Some(audience) = &self.audience {
            // One text, or a list of them (RFC 7519, 4.1.3).
            let named = match claims.0.get("aud") {
                Some(Value::String(one)) => vec![one.clone()],
                _ => claims.list("aud")?.ok_or_else(|| claims.fault("aud", EXPECTED_LIST))?,
            };
            if !named.contains(audience) {
                return Err(TokenFault::Audience);
            }
        }
        Ok(())
    }
}

const EXPECTED_INSTANT: &str = "seconds since 1970, up to the year 9999";
const EXPECTED_TEXT: &str = "a text that is not empty";
const EXPECTED_LIST: &str = "a list of texts";

/// What a token says, once its signature is verified. A claim of another type is a fault and never as good as none.
struct Claims(Map<String, Value>);

impl Claims {
    fn instant(&self, claim: &str) -> Result<Option<WallTime>, TokenFault> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
        let seconds = seconds.ok_or_else(|| self.fault(claim, EXPECTED_INSTANT))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds above"
        )]
        let millis = (seconds * MILLIS_PER_SECOND) as u64;
        Ok(Some(WallTime(millis)))
    }

    fn text(&self, claim: &str) -> Result<Option<String>, TokenFault> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(self.fault(claim, EXPECTED_TEXT)),
        }
    }

    fn list(&self, claim: &str) -> Result<Option<Vec<String>>, TokenFault> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| {
            list.iter().map(|element| element.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.map(Some).ok_or_else(|| self.fault(claim, EXPECTED_LIST))
    }

    fn fault(&self, claim: &str, expected: &'static str) -> TokenFault {
        TokenFault::Claim { claim: claim.to_owned(), expected }
    }
}

#[cfg(test)]
mod tests;
