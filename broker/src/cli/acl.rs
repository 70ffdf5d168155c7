//! `rivulet acl`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use rivulet_core::input::Identity;
use rivulet_protocol::{Topic, TopicFilter};

use crate::access;
use crate::access::acl::{Acl, Request};
use crate::access::subject::Subject;

/// Looks into access rules.
#[derive(Debug, clap::Args)]
pub(crate) struct AclArguments {
    #[command(subcommand)]
    command: AclCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AclCommand {
    Explain(ExplainArguments),
}

/// Says which line of the access rules decides, and why each line before it does not.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("request").required(true))]
struct ExplainArguments {
    /// The file with the access rules
    #[arg(long, value_name = "FILE")]
    acl: PathBuf,
    /// The client identifier
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// The user name that the client has proven
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The name of the listener through which the client comes
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The common name of its certificate
    #[arg(long, value_name = "NAME")]
    cn: Option<String>,
    /// The organizational unit of its certificate
    #[arg(long, value_name = "NAME")]
    ou: Option<String>,
    /// The serial number of its certificate, hexadecimal
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// A DNS name of its certificate; may stand several times
    #[arg(long, value_name = "NAME")]
    san_dns: Vec<String>,
    /// A URI of its certificate; may stand several times
    #[arg(long, value_name = "URI")]
    san_uri: Vec<String>,
    /// May it publish to this topic?
    #[arg(long, value_name = "TOPIC", group = "request", value_parser = topic)]
    publish: Option<Topic>,
    /// May it subscribe to this filter?
    #[arg(long, value_name = "FILTER", group = "request", value_parser = filter)]
    subscribe: Option<TopicFilter>,
    /// Would it be sent a message of this topic?
    #[arg(long, value_name = "TOPIC", group = "request", value_parser = topic)]
    receive: Option<Topic>,
}

const EXAMPLES: &str = "\
Examples:
  May the device publish its state?
    rivulet acl explain --acl acl.example --client meter-7 --cn meter-7 --publish dev/meter-7/state

  May jane see what the broker says of itself?
    rivulet acl explain --acl acl.example --client tablet --username jane --subscribe '$SYS/#'

Exit codes: 0 allowed, 1 denied, 2 the options make no sense, 78 the file has faults.";

pub(crate) fn run(arguments: &AclArguments) -> ExitCode {
    match &arguments.command {
        AclCommand::Explain(arguments) => explain(arguments),
    }
}

fn explain(arguments: &ExplainArguments) -> ExitCode {
    let acl = match load(arguments) {
        Ok(acl) => acl,
        Err(faults) => {
            // Nobody reads: the exit code still tells.
            drop(writeln!(io::stderr(), "{faults}"));
            return ExitCode::from(super::EXIT_CONFIGURATION);
        }
    };
    let Some(request) = arguments.request() else {
        return ExitCode::from(super::EXIT_FAILURE); // one of the group is required
    };
    let explanation = acl.explain(&arguments.subject(), request);
    drop(write!(io::stdout(), "{explanation}"));
    if explanation.is_allowed() { ExitCode::SUCCESS } else { ExitCode::from(super::EXIT_FAILURE) }
}

fn load(arguments: &ExplainArguments) -> Result<Acl, String> {
    let name = arguments.acl.display();
    let text = access::read(&arguments.acl).map_err(|problem| format!("{name}: {problem}"))?;
    Acl::parse(&text).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(|fault| format!("{name}: {fault}")).collect();
        faults.join("\n")
    })
}

impl ExplainArguments {
    fn request(&self) -> Option<Request> {
        let publish = self.publish.clone().map(Request::Publish);
        let subscribe = || self.subscribe.clone().map(Request::Subscribe);
        let receive = || self.receive.clone().map(Request::Receive);
        publish.or_else(subscribe).or_else(receive)
    }

    fn subject(&self) -> Subject {
        let identity = Identity {
            common_name: self.cn.clone(),
            serial: self.serial.clone(),
            organizational_unit: self.ou.clone(),
            san_dns: self.san_dns.clone(),
            san_uri: self.san_uri.clone(),
        };
        Subject {
            listener: self.listener.clone().unwrap_or_default(),
            client_id: self.client.clone(),
            username: self.username.clone(),
            identity: (identity != Identity::default()).then_some(identity),
        }
    }
}

fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text.to_owned()).map_err(|error| format!("the topic {error}"))
}

fn filter(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::parse(text.to_owned()).map_err(|error| format!("the filter {error}"))
}
