//! `[access]`: what clients are measured by; and the part of `[[listener]]` that says which of it counts there.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

use super::schema::Section;

/// Files and services that tell who a client is and what it may do. Each is used by the listeners that name it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessConfig {
    /// Users with their passwords; `rivulet passwd` edits it.
    pub password_file: Option<PathBuf>,
    /// The access rules.
    pub acl_file: Option<PathBuf>,
    /// Signed tokens.
    pub jwt: Option<JwtConfig>,
    /// The hook.
    pub http: Option<HttpConfig>,
}

/// `[access.jwt]`: signed tokens in the place of a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JwtConfig {
    /// Public keys, as a JSON Web Key Set.
    pub jwks_file: PathBuf,
    /// Who must have issued a token. Default: anyone with a key.
    pub issuer: Option<String>,
    /// For whom a token must be meant. Default: for anyone.
    pub audience: Option<String>,
    /// How far the issuer's clock may be from ours. Default 30 s.
    pub leeway: Duration,
    /// Where a client puts its token. Default: in its password.
    pub token_in: TokenPlace,
    /// The claim that holds the user name. Default `sub`; empty: none.
    pub username_claim: Option<String>,
    /// The claim that must hold the client identifier. Default: none.
    pub client_id_claim: Option<String>,
}

/// Where a client puts its token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TokenPlace {
    /// In the password of CONNECT.
    #[default]
    Password,
    /// In its user name, for clients that send no password.
    Username,
}

/// `[access.http]`: a service that is asked about each client.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Whom to ask. Without TLS on loopback alone: passwords travel to it.
    pub url: Uri,
    /// Authorities for `https`, as a PEM file.
    pub ca_file: Option<PathBuf>,
    /// How long a question may take. Default 5 s. At the edge: a failure.
    pub timeout: Duration,
    /// Questions under way at one time. Default 64. At the edge: further ones wait.
    pub concurrency: u16,
    /// What a failure means. Default: nobody is let in.
    pub on_failure: FailurePolicy,
    /// How long an answer holds. Default 1 min; `0s`: every client is asked about.
    pub cache_ttl: Duration,
    /// Answers that are remembered. Default 10,000. At the edge: the one that was least used is forgotten.
    pub cache_entries: u32,
}

/// What it means that the hook gives no answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailurePolicy {
    /// Nobody is let in: the client is told that the server is unavailable.
    #[default]
    Deny,
    /// The listener's next authenticator decides.
    Ignore,
}

/// One way in which a client can prove who it is. The listener's are asked in their order; the first that knows the
/// client decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Authenticator {
    /// The certificate of its TLS handshake.
    Certificate,
    /// A name and a password of the password file.
    Password,
    /// A signed token.
    Jwt,
    /// The hook.
    Http,
    /// Nothing at all: lets in whoever sends neither name nor password.
    Anonymous,
}

/// The words of the file.
const AUTHENTICATORS: [(&str, Authenticator); 5] = [
    ("certificate", Authenticator::Certificate),
    ("password", Authenticator::Password),
    ("jwt", Authenticator::Jwt),
    ("http", Authenticator::Http),
    ("anonymous", Authenticator::Anonymous),
];

impl Authenticator {
    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        AUTHENTICATORS.iter().find(|(_, this)| *this == self).map_or("", |(name, _)| *name)
    }
}

/// Which rules hold for the clients of a listener.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AclChoice {
    /// Those of the file.
    #[default]
    File,
    /// Everything to everyone, but for topics that begin with `$`.
    Open,
}

/// What the client identifier must be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ClientIdRule {
    /// Anything: the client's own choice.
    #[default]
    Any,
    /// The common name of its certificate.
    CommonName,
    /// The proven user name.
    Username,
}

/// What a listener asks of its clients.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListenerAccess {
    /// How rules and the hook call the listener. Need not be unique.
    pub name: String,
    /// Whom to ask, in this order.
    pub authentication: Vec<Authenticator>,
    /// Which rules hold.
    pub acl: AclChoice,
    /// What the client identifier must be.
    pub client_id: ClientIdRule,
}

/// Reads `[access]`.
pub(super) fn read(mut section: Section<'_>) -> AccessConfig {
    let password_file = section.path("password_file");
    let acl_file = section.path("acl_file");
    let jwt = section.has("jwt");
    let jwt_section = section.section("jwt");
    let jwt = jwt.then(|| read_jwt(jwt_section)).flatten();
    let http = section.has("http");
    let http_section = section.section("http");
    let http = http.then(|| read_http(http_section)).flatten();
    section.finish();
    AccessConfig { password_file, acl_file, jwt, http }
}

fn read_jwt(mut section: Section<'_>) -> Option<JwtConfig> {
    const LEEWAY: Duration = Duration::from_secs(30);
    const LEEWAY_MAX: Duration = Duration::from_secs(300);
    const USERNAME_CLAIM: &str = "sub";
    let jwks_file = required_path(&mut section, "jwks_file");
    let issuer = section.text("issuer").map(str::to_owned);
    let audience = section.text("audience").map(str::to_owned);
    let leeway = section.duration("leeway", Duration::ZERO..=LEEWAY_MAX, LEEWAY);
    let places = [("password", TokenPlace::Password), ("username", TokenPlace::Username)];
    let token_in = section.choice("token_in", &places).unwrap_or_default();
    let claim = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let username_claim = claim(section.text("username_claim").unwrap_or(USERNAME_CLAIM));
    let client_id_claim = section.text("client_id_claim").and_then(claim);
    section.finish();
    Some(JwtConfig {
        jwks_file: jwks_file?,
        issuer,
        audience,
        leeway,
        token_in,
        username_claim,
        client_id_claim,
    })
}

fn read_http(mut section: Section<'_>) -> Option<HttpConfig> {
    const TIMEOUT_MIN: Duration = Duration::from_millis(10);
    const TIMEOUT: Duration = Duration::from_secs(5);
    const TIMEOUT_MAX: Duration = Duration::from_secs(60);
    const CONCURRENCY: u16 = 64;
    const CONCURRENCY_MAX: u16 = 1_024;
    const CACHE_TTL: Duration = Duration::from_secs(60);
    const CACHE_TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
    const CACHE_ENTRIES: u32 = 10_000;
    const CACHE_ENTRIES_MAX: u32 = 1_000_000;
    if !section.has("url") {
        section.fault("url", "is missing");
    }
    let expected = "an address such as \"https://auth.example/mqtt\"; http:// only on loopback, because passwords \
                    travel to it";
    let url = section.parsed("url", expected, parse_url);
    let ca_file = section.path("ca_file");
    if url.as_ref().is_some_and(|url| url.scheme_str() == Some("https")) && ca_file.is_none() {
        section.fault(
            "ca_file",
            "is missing: https needs authorities; those of the system are often in \
            \"/etc/ssl/certs/ca-certificates.crt\"",
        );
    }
    let timeout = section.duration("timeout", TIMEOUT_MIN..=TIMEOUT_MAX, TIMEOUT);
    let concurrency = section.number("concurrency", 1..=CONCURRENCY_MAX, CONCURRENCY);
    let policies = [("deny", FailurePolicy::Deny), ("ignore", FailurePolicy::Ignore)];
    let on_failure = section.choice("on_failure", &policies).unwrap_or_default();
    let cache_ttl = section.duration("cache_ttl", Duration::ZERO..=CACHE_TTL_MAX, CACHE_TTL);
    let cache_entries = section.number("cache_entries", 1..=CACHE_ENTRIES_MAX, CACHE_ENTRIES);
    section.finish();
    Some(HttpConfig { url: url?, ca_file, timeout, concurrency, on_failure, cache_ttl, cache_entries })
}

fn required_path(section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    if !section.has(key) {
        section.fault(key, "is missing");
    }
    section.path(key)
}

fn parse_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme_str() {
        Some("https") => Some(url),
        Some("http") if is_loopback => Some(url),
        _ => None,
    }
}

/// Reads what a listener says about its clients. Without a word about authentication, everything that `access` is
/// configured for counts, and nobody is anonymous.
pub(super) fn read_listener(
    section: &mut Section<'_>,
    access: &AccessConfig,
    default_name: &str,
) -> ListenerAccess {
    let name = section.text("name").unwrap_or(default_name).to_owned();
    let authentication = section.choices("authentication", &AUTHENTICATORS).unwrap_or_else(|| {
        let configured = |authenticator: &Authenticator| match authenticator {
            Authenticator::Certificate => true,
            Authenticator::Password => access.password_file.is_some(),
            Authenticator::Jwt => access.jwt.is_some(),
            Authenticator::Http => access.http.is_some(),
            Authenticator::Anonymous => false,
        };
        AUTHENTICATORS.into_iter().map(|(_, authenticator)| authenticator).filter(configured).collect()
    });
    let acls = [("file", AclChoice::File), ("open", AclChoice::Open)];
    let chosen = section.choice("acl", &acls);
    let acl = chosen.unwrap_or_default();
    let is_wrong = chosen.is_none() && section.has("acl");
    if acl == AclChoice::File && access.acl_file.is_none() && !is_wrong {
        section.fault(
            "acl",
            "has no rules: name a file in access.acl_file, or say acl = \"open\" to let every client \
            publish and subscribe everywhere but under $",
        );
    }
    let rules = [
        ("any", ClientIdRule::Any),
        ("cert.cn", ClientIdRule::CommonName),
        ("username", ClientIdRule::Username),
    ];
    let client_id = section.choice("client_id", &rules).unwrap_or_default();
    let missing = |authenticator: &Authenticator| match authenticator {
        Authenticator::Password if access.password_file.is_none() => Some("access.password_file"),
        Authenticator::Jwt if access.jwt.is_none() => Some("[access.jwt]"),
        Authenticator::Http if access.http.is_none() => Some("[access.http]"),
        Authenticator::Certificate
        | Authenticator::Password
        | Authenticator::Jwt
        | Authenticator::Http
        | Authenticator::Anonymous => None,
    };
    for (authenticator, missing) in authentication.iter().filter_map(|one| Some((one, missing(one)?))) {
        section.fault("authentication", format!("\"{}\" needs {missing}", authenticator.name()));
    }
    ListenerAccess { name, authentication, acl, client_id }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Config;
    use super::*;

    const TCP: &str = "[[listener]]\ntransport = \"tcp\"\naddress = \"127.0.0.1:1883\"\n";

    fn parse(text: &str) -> Result<Config, Vec<String>> {
        let parsed = Config::parse("rivulet.toml", text, std::iter::empty());
        parsed.map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_listener_asks_all_that_is_configured_unless_it_says_otherwise_and_nobody_is_anonymous() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("f"), "").unwrap();
        let access = format!("[access]\npassword_file = {:?}\nacl_file = {:?}\n", path("f"), path("f"));
        let config = parse(&format!("{access}{TCP}")).unwrap();
        let listener = &config.listeners[0].access;
        assert_eq!(listener.authentication, [Authenticator::Certificate, Authenticator::Password]);
        assert_eq!(
            (listener.name.as_str(), listener.acl, listener.client_id),
            ("tcp", AclChoice::File, ClientIdRule::Any)
        );
        let own =
            "name = \"field\"\nauthentication = [\"anonymous\", \"password\"]\nclient_id = \"username\"\n";
        let config = parse(&format!("{access}{TCP}{own}")).unwrap();
        let listener = &config.listeners[0].access;
        assert_eq!(listener.authentication, [Authenticator::Anonymous, Authenticator::Password]);
        assert_eq!((listener.name.as_str(), listener.client_id), ("field", ClientIdRule::Username));
    }

    #[test]
    fn a_listener_without_rules_must_say_that_it_is_open() {
        let found = parse(TCP).unwrap_err();
        assert!(found[0].starts_with("rivulet.toml: listener[0].acl: has no rules: "), "{found:?}");
        assert_eq!(parse(&format!("{TCP}acl = \"open\"")).unwrap().listeners[0].access.acl, AclChoice::Open);
    }

    #[test]
    fn an_authenticator_needs_what_it_asks() {
        let found =
            parse(&format!("{TCP}acl = \"open\"\nauthentication = [\"password\", \"jwt\", \"http\"]"))
                .unwrap_err();
        let problems: Vec<_> = found.iter().map(|fault| fault.rsplit(": ").next().unwrap()).collect();
        let expected = [
            "\"password\" needs access.password_file",
            "\"jwt\" needs [access.jwt]",
            "\"http\" needs [access.http]",
        ];
        assert_eq!(problems, expected);
        for wrong in ["\"ldap\"", "[\"ldap\"]", "[7]", "[\"jwt\", \"jwt\"]", "true"] {
            let found = parse(&format!("{TCP}acl = \"open\"\nauthentication = {wrong}")).unwrap_err();
            assert!(found[0].contains("must be a list of some of \"certificate\", "), "{found:?}");
        }
    }

    #[test]
    fn tokens_and_the_hook_have_defaults() {
        let text = format!(
            "[access.jwt]\njwks_file = \"/keys\"\n[access.http]\nurl = \"http://127.0.0.1:8080/auth\"\n{TCP}acl = \"open\""
        );
        let access = parse(&text).unwrap().access;
        let jwt = access.jwt.unwrap();
        assert_eq!((jwt.leeway, jwt.token_in), (Duration::from_secs(30), TokenPlace::Password));
        assert_eq!((jwt.username_claim.as_deref(), jwt.client_id_claim), (Some("sub"), None));
        let http = access.http.unwrap();
        assert_eq!((http.timeout, http.concurrency), (Duration::from_secs(5), 64));
        assert_eq!((http.on_failure, http.cache_ttl), (FailurePolicy::Deny, Duration::from_secs(60)));
    }

    #[test]
    fn faults_of_tokens_and_the_hook_are_told_at_once() {
        let text = format!(
            "[access.jwt]\nleeway = \"1h\"\ntoken_in = \"header\"\n\
             [access.http]\nurl = \"http://auth.example/\"\nconcurrency = 0\non_failure = \"allow\"\nretries = 3\n{TCP}acl = \"open\""
        );
        let found = parse(&text).unwrap_err();
        for expected in [
            "access.jwt.jwks_file: is missing",
            "access.jwt.leeway = \"1h\": must be a duration such as \"30s\" from 0s to 5m",
            "access.jwt.token_in = \"header\": must be one of \"password\", \"username\"",
            "access.http.url = \"http://auth.example/\": must be an address such as \"https://auth.example/mqtt\"; \
             http:// only on loopback, because passwords travel to it",
            "access.http.concurrency = 0: must be a whole number from 1 to 1024",
            "access.http.on_failure = \"allow\": must be one of \"deny\", \"ignore\"",
            "access.http.retries: unknown key; ",
        ] {
            assert!(
                found.iter().any(|fault| fault.contains(expected)),
                "missing: {expected}\nin: {found:#?}"
            );
        }
        assert_eq!(found.len(), 7, "{found:#?}");
    }

    #[test]
    fn passwords_travel_without_tls_on_loopback_alone() {
        for (url, is_good) in [
            ("https://auth.example/mqtt", true),
            ("http://localhost:8080/", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]:8080/", true),
            ("http://127.0.0.1.example/", false),
            ("http://10.0.0.1/", false),
            ("ftp://localhost/", false),
            ("localhost:8080", false),
            ("/mqtt", false),
        ] {
            assert_eq!(parse_url(url).is_some(), is_good, "{url}");
        }
        let text = format!("[access.http]\nurl = \"https://auth.example/\"\n{TCP}acl = \"open\"");
        assert!(
            parse(&text).unwrap_err()[0].contains("access.http.ca_file: is missing: https needs authorities")
        );
    }
}
