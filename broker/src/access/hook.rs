//! The hook: a service over HTTP that is asked whether a client may come in.
//!
//! ```text
//! POST url   {"client_id":"meter-7","username":"jane","password":"…","listener":"field","peer":"192.0.2.7",
//!             "version":"5.0","cert":{"cn":"…","ou":"…","serial":"…","san_dns":["…"],"san_uri":["…"]}}
//! 200        {"result":"allow"}     or "deny", or "ignore": the listener's next authenticator decides
//! ```
//!
//! What the client did not send is `null`; a password that is no text comes as `password_base64`. An answer may also hold
//! `expires_in` (seconds until the connection is to end), `username` (instead of the one that was sent), and `publish`
//! and `subscribe` (lists of filters that narrow the access rules). Anything else in it, another status, a redirect, no
//! answer in time: all of that is a failure, and the policy for failures decides.
//!
//! So many questions are under way at one time; further ones wait, within the same time-out. Answers are remembered for a
//! while under a keyed digest of what the client showed, never under the password itself.
//!
//! Not here: what is in a certificate, and who asks (`access`).

mod cache;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rivulet_core::access::Credentials;
use rivulet_core::input::Identity;
use rivulet_core::{Now, WallTime};
use rustls::RootCertStore;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::grants::{Grants, Lists};
use crate::config::FailurePolicy;
use cache::Cache;

/// Longest answer that is read, in bytes. A longer one is a failure.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

const JSON: &str = "application/json";

/// Where the hook is, and how much of it there may be.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// Whom to ask: `http` or `https`.
    pub url: Uri,
    /// Authorities whose certificate the service must show; for `https` alone.
    pub roots: RootCertStore,
    /// How long a question may take, its wait for a turn included. At the edge: a failure.
    pub timeout: Duration,
    /// Questions under way at one time. At the edge: further ones wait.
    pub concurrency: usize,
    /// What a failure means.
    pub on_failure: FailurePolicy,
    /// How long an answer holds. Zero: every client is asked about.
    pub cache_ttl: Duration,
    /// Answers that are remembered. At the edge: the one that was least used is forgotten.
    pub cache_entries: usize,
}

/// What the hook says about a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HookAnswer {
    /// Let it in.
    Allow(HookProof),
    /// Keep it out.
    Deny,
    /// Ask another.
    Ignore,
}

/// What the hook says about a client that it lets in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HookProof {
    /// The user name, if there is one.
    pub username: Option<String>,
    /// When its connection is to end.
    pub expires: Option<WallTime>,
    /// What it is limited to.
    pub grants: Grants,
}

/// Why there is no answer. Shows neither question nor answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HookFault {
    /// Too slow, or too many questions before this one.
    #[error("hook did not answer within {0:?}")]
    Timeout(Duration),
    /// No connection, or a broken one.
    #[error("hook cannot be reached: {0}")]
    Unreachable(String),
    /// Another status than 200.
    #[error("hook answered with status {0}, expected 200")]
    Status(u16),
    /// The answer breaks off, or is too long.
    #[error("hook's answer cannot be read to its end, we allow {ANSWER_BYTES_MAX} bytes")]
    Body,
    /// The answer is of another form.
    #[error("hook's answer is not of the agreed form: {0}")]
    Form(String),
}

/// Asks the hook.
pub struct Hook {
    settings: HookSettings,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    turns: Semaphore,
    cache: Option<Cache>,
}

#[derive(Serialize)]
struct Question<'a> {
    client_id: Option<&'a str>,
    username: Option<&'a str>,
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_base64: Option<String>,
    listener: &'a str,
    peer: Option<IpAddr>,
    version: String,
    cert: Option<Certificate<'a>>,
}

#[derive(Serialize)]
struct Certificate<'a> {
    cn: Option<&'a str>,
    ou: Option<&'a str>,
    serial: Option<&'a str>,
    san_dns: &'a [String],
    san_uri: &'a [String],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    result: RawResult,
    expires_in: Option<u64>,
    username: Option<String>,
    publish: Option<Vec<String>>,
    subscribe: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawResult {
    Allow,
    Deny,
    Ignore,
}

impl Hook {
    /// A client for this service. Connects with the first question.
    ///
    /// # Errors
    ///
    /// TLS as it is built here knows none of its own versions: not to be expected.
    pub fn new(settings: HookSettings) -> Result<Self, rustls::Error> {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(settings.roots.clone())
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(settings.concurrency)
            .build(connector);
        let cache = (!settings.cache_ttl.is_zero()).then(|| Cache::new(settings.cache_entries));
        Ok(Self { client, turns: Semaphore::new(settings.concurrency), cache, settings })
    }

    /// What a failure means here.
    pub fn on_failure(&self) -> FailurePolicy {
        self.settings.on_failure
    }

    /// What the service says about a client; from memory, if it was asked the same a short while ago.
    ///
    /// # Errors
    ///
    /// There is no answer, or none of the agreed form.
    pub async fn ask(
        &self,
        now: Now,
        listener: &str,
        peer: Option<IpAddr>,
        credentials: &Credentials,
    ) -> Result<HookAnswer, HookFault> {
        let question = Question::new(listener, peer, credentials);
        let question = serde_json::to_vec(&question).map_err(|error| HookFault::Form(error.to_string()))?;
        let digest = self.cache.as_ref().map(|cache| cache.digest(&question));
        if let (Some(cache), Some(digest)) = (&self.cache, &digest)
            && let Some(answer) = cache.answer(digest, now.instant)
        {
            return Ok(answer);
        }
        let timeout = self.settings.timeout;
        let raw = tokio::time::timeout(timeout, self.post(question));
        let raw = raw.await.map_err(|_| HookFault::Timeout(timeout))??;
        let expires_in = raw.expires_in.map(Duration::from_secs);
        let answer = raw.into_answer(now.wall, credentials.username.as_deref())?;
        if let (Some(cache), Some(digest)) = (&self.cache, digest) {
            let ttl = self.settings.cache_ttl.min(expires_in.unwrap_or(Duration::MAX));
            cache.remember(digest, answer.clone(), now.instant + ttl);
        }
        Ok(answer)
    }

    async fn post(&self, question: Vec<u8>) -> Result<RawAnswer, HookFault> {
        let unreachable = |error: &dyn std::error::Error| HookFault::Unreachable(root_cause(error));
        let _turn = self.turns.acquire().await.map_err(|error| unreachable(&error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.settings.url.clone())
            .header(CONTENT_TYPE, JSON)
            .header(ACCEPT, JSON)
            .body(Full::new(Bytes::from(question)))
            .map_err(|error| unreachable(&error))?;
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(HookFault::Status(response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| HookFault::Body)?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| HookFault::Form(error.to_string()))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("url", &self.settings.url).finish_non_exhaustive()
    }
}

impl<'a> Question<'a> {
    fn new(listener: &'a str, peer: Option<IpAddr>, credentials: &'a Credentials) -> Self {
        let bytes = credentials.password.as_deref();
        let password = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let password_base64 = bytes.filter(|_| password.is_none()).map(|bytes| STANDARD.encode(bytes));
        Self {
            client_id: credentials.client_id.as_ref().map(|id| id.as_str()),
            username: credentials.username.as_deref(),
            password,
            password_base64,
            listener,
            peer,
            version: credentials.version.to_string(),
            cert: credentials.identity.as_ref().map(Certificate::new),
        }
    }
}

impl<'a> Certificate<'a> {
    fn new(identity: &'a Identity) -> Self {
        Self {
            cn: identity.common_name.as_deref(),
            ou: identity.organizational_unit.as_deref(),
            serial: identity.serial.as_deref(),
            san_dns: &identity.san_dns,
            san_uri: &identity.san_uri,
        }
    }
}

impl RawAnswer {
    fn into_answer(self, now: WallTime, sent: Option<&str>) -> Result<HookAnswer, HookFault> {
        match self.result {
            RawResult::Deny => Ok(HookAnswer::Deny),
            RawResult::Ignore => Ok(HookAnswer::Ignore),
            RawResult::Allow => {
                let lists = Lists { publish: self.publish, subscribe: self.subscribe };
                let grants = Grants::parse(lists).map_err(|fault| HookFault::Form(fault.to_string()))?;
                let expires = self.expires_in.map(|seconds| now + Duration::from_secs(seconds));
                let username =
                    self.username.or_else(|| sent.map(str::to_owned)).filter(|name| !name.is_empty());
                Ok(HookAnswer::Allow(HookProof { username, expires, grants }))
            }
        }
    }
}

/// What lies beneath the layers of an error: the layers themselves say only that something failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests;
