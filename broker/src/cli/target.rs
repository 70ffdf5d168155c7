//! What `rivulet pub` and `rivulet sub` have in common: where the server is, who the client is, how failures are told.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::ArgAction;
use rivulet_certs::{CertsError, Credentials, TlsVersions, client_config, load_roots};
use rivulet_client::{
    Client, ConnectError, Messages, Options, OptionsError, QoS, Reconnect, State, Topic, TopicFilter,
    Transport, Url, Version, Will, WillProperties,
};
use tokio::signal::unix::{SignalKind, signal};

use super::property::{self, Properties};

/// Where the server is and who the client is, in mosquitto's letters.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Where the server is: quic://HOST:PORT or mqtt://HOST:PORT. Without a port: 14567 for QUIC, 1883 for TCP
    #[arg(long, value_name = "URL", help_heading = "Server", conflicts_with_all = ["host", "port"])]
    url: Option<Url>,
    /// The server's name or address, over TCP [default: localhost]
    #[arg(short = 'h', long, value_name = "HOST", help_heading = "Server")]
    host: Option<String>,
    /// The server's TCP port [default: 1883]
    #[arg(short = 'p', long, value_name = "PORT", help_heading = "Server", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// PEM file of the authorities that may vouch for the server
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    cafile: Option<PathBuf>,
    /// PEM file of the client's certificate chain
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Client")]
    cert: Option<PathBuf>,
    /// PEM file of the client's private key
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Client")]
    key: Option<PathBuf>,
    /// Client identifier; without one the server chooses
    #[arg(short = 'i', long = "id", value_name = "ID", help_heading = "Client")]
    id: Option<String>,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME", help_heading = "Client")]
    username: Option<String>,
    /// Password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD", help_heading = "Client")]
    password: Option<OsString>,
    /// Version of MQTT: 5 or 311 (also mqttv5, mqttv311)
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", default_value = "5", value_parser = version, help_heading = "Client")]
    version: Version,
    /// Keep alive in seconds; 0 turns it off
    #[arg(short = 'k', long, value_name = "SECONDS", default_value_t = 60, help_heading = "Client")]
    keepalive: u16,
    /// Take up the session of this identifier where there is one, and let the server keep it afterwards
    #[arg(short = 'c', long = "disable-clean-session", requires = "id", help_heading = "Client")]
    resume: bool,
    /// How long the server keeps the session afterwards, in seconds; -1 is for ever [default: 0, with -c for ever]
    #[arg(short = 'x', long, value_name = "SECONDS", allow_hyphen_values = true, value_parser = session_expiry, help_heading = "Client")]
    session_expiry_interval: Option<u32>,
    /// A property of a packet, for MQTT 5: PACKET is connect, publish, subscribe or will; user-property
    /// takes a name and a value. Can be given again
    #[arg(short = 'D', long = "property", value_names = ["PACKET", "NAME", "VALUE"], num_args = 3..=4, action = ArgAction::Append, help_heading = "Client")]
    properties: Vec<String>,
    /// Topic of the message that the server publishes if this client vanishes
    #[arg(long, value_name = "TOPIC", value_parser = topic, help_heading = "Will")]
    will_topic: Option<Topic>,
    /// Payload of that message
    #[arg(long, value_name = "TEXT", requires = "will_topic", help_heading = "Will")]
    will_payload: Option<OsString>,
    /// QoS of that message
    #[arg(long, value_name = "QOS", requires = "will_topic", default_value = "0", value_parser = qos, help_heading = "Will")]
    will_qos: QoS,
    /// Retain that message
    #[arg(long, requires = "will_topic", help_heading = "Will")]
    will_retain: bool,
    /// Say nothing about refusals and lost connections; failures still set the exit code
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print this help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The options make no sense: exit code 2.
    Usage(String),
    /// It went wrong: exit code 1.
    Run(String),
}

/// Exit code for options that make no sense, as clap has it.
const EXIT_USAGE: u8 = 2;

impl Target {
    /// The properties given by `-D`.
    pub(crate) fn properties(&self) -> Result<Properties, Failure> {
        if !self.properties.is_empty() && !self.version.has_properties() {
            return Err(Failure::Usage(format!("properties (-D) need MQTT 5, and -V says {}", self.version)));
        }
        property::parse(&self.properties).map_err(Failure::Usage)
    }

    /// Connects, once.
    pub(crate) async fn connect(
        &self,
        properties: &Properties,
        reconnect: Reconnect,
    ) -> Result<(Client, Messages), Failure> {
        let options = self.options(properties)?.reconnect(reconnect);
        Client::connect(options).await.map_err(|error| self.explain(&error))
    }

    fn options(&self, properties: &Properties) -> Result<Options, Failure> {
        let mut options = Options::with_url(self.url()?)
            .version(self.version)
            .keep_alive(self.keepalive)
            .clean_start(!self.resume)
            .user_properties(properties.connect.user_properties.clone());
        if let Some(id) = &self.id {
            options = options.client_id(id).map_err(|error| Failure::Usage(error.to_string()))?;
        }
        if let Some(username) = &self.username {
            options = options.username(username);
        }
        if let Some(password) = &self.password {
            options = options.password(password.clone().into_vec());
        }
        if let Some(will) = self.will(properties) {
            options = options.will(will);
        }
        if let Some(secs) = self.session_expiry(properties) {
            options = options.session_expiry(secs);
        }
        if let Some(messages) = properties.connect.receive_maximum {
            options = options.receive_maximum(messages);
        }
        if let Some(bytes) = properties.connect.maximum_packet_bytes {
            options = options.maximum_packet_bytes(bytes);
        }
        if let Some(aliases) = properties.connect.topic_alias_maximum {
            options = options.topic_alias_maximum(aliases);
        }
        match self.tls().map_err(|error| Failure::Run(error.to_string()))? {
            Some(tls) => Ok(options.tls(tls)),
            None => Ok(options),
        }
    }

    fn session_expiry(&self, properties: &Properties) -> Option<u32> {
        let for_ever = self.resume.then_some(u32::MAX);
        self.session_expiry_interval.or(properties.connect.session_expiry_secs).or(for_ever)
    }

    fn url(&self) -> Result<Url, Failure> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let host = self.host.as_deref().unwrap_or("localhost");
        let port = self.port.unwrap_or(Transport::Tcp.default_port());
        Url::new(Transport::Tcp, host, port).map_err(|error| Failure::Usage(error.to_string()))
    }

    fn will(&self, properties: &Properties) -> Option<Will> {
        Some(Will {
            topic: self.will_topic.clone()?,
            payload: self.will_payload.clone().map(|text| Bytes::from(text.into_vec())).unwrap_or_default(),
            qos: self.will_qos,
            retain: self.will_retain,
            properties: WillProperties {
                delay_secs: properties.will_delay_secs,
                message: properties.will.clone(),
            },
        })
    }

    fn tls(&self) -> Result<Option<rustls::ClientConfig>, CertsError> {
        let Some(cafile) = &self.cafile else {
            return Ok(None);
        };
        let roots = load_roots(cafile)?;
        let credentials = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(Credentials::load(cert, key)?),
            (Some(_) | None, Some(_) | None) => None,
        };
        client_config(TlsVersions::Only13, roots, credentials, &[]).map(Some)
    }

    /// What went wrong, with the options that decide it.
    fn explain(&self, error: &ConnectError) -> Failure {
        match error {
            ConnectError::Options(OptionsError::TlsMissing(_)) => {
                Failure::Usage(format!("{error}; name its file with --cafile"))
            }
            ConnectError::Options(OptionsError::TlsNotUsed(_)) => {
                Failure::Usage(format!("{error}; an encrypted server is named by --url quic://HOST:PORT"))
            }
            ConnectError::Options(_) => Failure::Usage(error.to_string()),
            ConnectError::Transport { .. } | ConnectError::Lost { .. } => {
                Failure::Run(format!("{error}{}", self.certificates()))
            }
            ConnectError::Resolve { .. } | ConnectError::Timeout { .. } | ConnectError::Refused { .. } => {
                Failure::Run(error.to_string())
            }
        }
    }

    /// Which certificates took part in a handshake that failed.
    fn certificates(&self) -> String {
        let Some(cafile) = &self.cafile else {
            return String::new();
        };
        let cert = match &self.cert {
            Some(cert) => format!("shown: --cert {}", cert.display()),
            None => "shown: none (--cert and --key)".to_owned(),
        };
        format!("\n  trusted: --cafile {}\n  {cert}", cafile.display())
    }
}

impl Failure {
    fn exit(self) -> ExitCode {
        let (text, code) = match self {
            Self::Usage(text) => (format!("{text}\n\nFor more information, try '--help'."), EXIT_USAGE),
            Self::Run(text) => (text, super::EXIT_FAILURE),
        };
        say(&format!("error: {text}"));
        ExitCode::from(code)
    }
}

/// Runs a command to its end.
pub(crate) fn block_on(command: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(Failure::Run(format!("cannot start: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

/// Resolves on Ctrl-C and TERM.
pub(crate) async fn interrupted() -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Run(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// Says on standard error when the connection is lost and when it is back, for as long as it is polled.
pub(crate) async fn report(client: &Client, quiet: bool) -> std::convert::Infallible {
    let mut watch = client.watch();
    while watch.changed().await.is_ok() {
        let text = match &*watch.borrow_and_update() {
            State::Connected(_) => "connected again".to_owned(),
            State::Reconnecting { cause, pause, .. } => {
                format!("{cause}; trying again in {:.1} s", pause.as_secs_f32())
            }
            State::Ended(_) => continue,
        };
        if !quiet {
            say(&text);
        }
    }
    std::future::pending().await
}

/// A line on standard error. Where nobody reads it, the exit code still tells.
pub(crate) fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// A level from its number.
pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    let bits = text.parse().ok().and_then(QoS::from_bits);
    bits.ok_or_else(|| "QoS is 0, 1 or 2".to_owned())
}

/// A topic name.
pub(crate) fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text).map_err(|error| format!("topic {error}"))
}

/// A topic filter.
pub(crate) fn topic_filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::parse(text).map_err(|error| format!("topic filter {error}"))
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "5" | "mqttv5" | "5.0" => Ok(Version::V5),
        "311" | "mqttv311" | "3.1.1" => Ok(Version::V3_1_1),
        _ => Err("the version is 5 or 311".to_owned()),
    }
}

fn session_expiry(text: &str) -> Result<u32, String> {
    if text == "-1" {
        return Ok(u32::MAX);
    }
    text.parse().map_err(|_| format!("seconds are 0 to {}, or -1", u32::MAX))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(disable_help_flag = true)]
    struct Alone {
        #[command(flatten)]
        target: Target,
    }

    fn target(arguments: &str) -> Result<Target, String> {
        let words = std::iter::once("alone").chain(arguments.split_whitespace());
        Alone::try_parse_from(words).map(|alone| alone.target).map_err(|error| error.to_string())
    }

    fn options(arguments: &str) -> Result<String, String> {
        let target = target(arguments)?;
        let properties = target.properties().map_err(|failure| format!("{failure:?}"))?;
        let options = target.options(&properties).map_err(|failure| format!("{failure:?}"))?;
        Ok(format!("{options:?}"))
    }

    #[test]
    fn without_options_the_server_is_on_this_machine_over_tcp() {
        assert_eq!(target("").unwrap().url().unwrap().to_string(), "mqtt://localhost:1883");
        assert_eq!(target("-h ::1 -p 1884").unwrap().url().unwrap().to_string(), "mqtt://[::1]:1884");
        assert_eq!(target("--url quic://a").unwrap().url().unwrap().to_string(), "quic://a:14567");
    }

    #[test]
    fn options_that_make_no_sense_say_so() {
        for (arguments, says) in [
            ("--url http://a", "scheme \"http\" is not known"),
            ("--url mqtt://a -h b", "cannot be used with"),
            ("-p 0", "0 is not in 1..=65535"),
            ("-V 4", "the version is 5 or 311"),
            ("-c", "--id <ID>"),
            ("-x never", "seconds are 0 to 4294967295, or -1"),
            ("--cert a.pem", "--key <FILE>"),
            ("--will-payload x", "--will-topic <TOPIC>"),
            ("--will-topic a/#", "topic "),
            ("--will-topic a --will-qos 3", "QoS is 0, 1 or 2"),
            ("-V 311 -D connect receive-maximum 5", "properties (-D) need MQTT 5"),
            ("--cafile nowhere.pem", "nowhere.pem: cannot be read"),
        ] {
            let fault = options(arguments).unwrap_err();
            assert!(fault.contains(says), "{arguments}: {fault}");
        }
    }

    #[test]
    fn a_session_to_be_resumed_is_kept_for_ever_unless_it_is_said_how_long() {
        let expiry = |arguments: &str| {
            let target = target(arguments).unwrap();
            target.session_expiry(&target.properties().unwrap())
        };
        assert_eq!(expiry("-i me"), None);
        assert_eq!(expiry("-i me -c"), Some(u32::MAX));
        assert_eq!(expiry("-i me -c -x 30"), Some(30));
        assert_eq!(expiry("-i me -x -1"), Some(u32::MAX));
        assert_eq!(expiry("-i me -c -D connect session-expiry-interval 7"), Some(7));
    }

    #[test]
    fn every_failure_of_a_connection_names_the_option_to_look_at() {
        let url: Url = "quic://a".parse().unwrap();
        let missing = ConnectError::Options(OptionsError::TlsMissing(url.clone()));
        let Failure::Usage(text) = target("").unwrap().explain(&missing) else {
            panic!("not a usage failure")
        };
        assert!(text.ends_with("name its file with --cafile"), "{text}");
        let failed = ConnectError::Transport { url, problem: "refused".to_owned() };
        let Failure::Run(text) = target("--cafile ca.pem").unwrap().explain(&failed) else {
            panic!("wrong kind")
        };
        assert!(text.contains("trusted: --cafile ca.pem") && text.contains("shown: none"), "{text}");
    }
}
