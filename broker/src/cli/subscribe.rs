//! `rivulet sub`.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::process::ExitCode;
use std::time::Duration;

use rivulet_client::{
    Client, Messages, QoS, Received, Reconnect, RetainHandling, State, Subscription, SubscriptionOptions,
    TopicFilter,
};

use self::format::Format;
use super::property::Properties;
use super::target::{self, Failure, Target};

mod format;

/// Subscribes to topic filters and prints what arrives, until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true, after_help = EXAMPLES)]
pub(crate) struct SubscribeArguments {
    /// Topic filter to subscribe to. Can be given again
    #[arg(short = 't', long = "topic", value_name = "FILTER", required = true, value_parser = target::topic_filter)]
    topics: Vec<TopicFilter>,
    /// Leave out topics that match this filter. Can be given again
    #[arg(short = 'T', long = "filter-out", value_name = "FILTER", value_parser = target::topic_filter)]
    filter_out: Vec<TopicFilter>,
    /// End this subscription of a resumed session. Can be given again
    #[arg(short = 'U', long = "unsubscribe", value_name = "FILTER", value_parser = target::topic_filter)]
    unsubscribe: Vec<TopicFilter>,
    /// The highest QoS at which messages come
    #[arg(short = 'q', long, value_name = "QOS", default_value = "0", value_parser = target::qos)]
    qos: QoS,
    /// End after so many messages
    #[arg(short = 'C', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so many seconds; a failure if -C asks for more messages than have come
    #[arg(short = 'W', long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// End when the server has answered the subscription
    #[arg(short = 'E', long)]
    exit_after_subscribe: bool,
    /// Print the topic before each message
    #[arg(short = 'v', long, conflicts_with = "format")]
    verbose: bool,
    /// What is printed of each message; see below
    #[arg(short = 'F', long, value_name = "FORMAT", value_parser = format::Format::parse)]
    format: Option<Format>,
    /// Print no end of line after each message
    #[arg(short = 'N', long)]
    no_newline: bool,
    /// Leave out retained messages
    #[arg(short = 'R', long, conflicts_with = "retained_only")]
    no_retained: bool,
    /// Print retained messages alone, and end with the first other one
    #[arg(long)]
    retained_only: bool,
    /// Whether retained messages come: always, new (if the subscription is new), never
    #[arg(long, value_name = "WHEN", default_value = "always", value_parser = retain_handling)]
    retain_handling: RetainHandling,
    /// Messages come with the RETAIN flag of their publisher
    #[arg(long)]
    retain_as_published: bool,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Formats of -F:
  %t topic   %p payload   %x %X payload in hexadecimal   %l its length   %q QoS   %r RETAIN   %d DUP
  %U seconds since 1970   %j all as one JSON object   %% percent sign   \\n \\t \\\\ as usual
  MQTT 5: %C content type   %D correlation data   %E message expiry   %F payload format   %P user properties
          %R response topic   %S subscription identifiers

Examples:
  Everything, with its topic, over QUIC, with the certificates that `rivulet serve` made:
    rivulet sub --url quic://127.0.0.1:14567 --cafile rivulet-data/certs/ca.pem \\
        --cert rivulet-data/certs/devices/demo.pem --key rivulet-data/certs/devices/demo.key \\
        -t '#' -v

  The next message over TCP, waiting ten seconds at most:
    rivulet sub -h localhost -p 1883 -t plant/7/state -C 1 -W 10

  A session that the server keeps: what comes while this does not run is printed when it runs again:
    rivulet sub -i night-shift -c -q 1 -t 'plant/+/alarm'

Exit codes: 0 done, 1 something failed, 2 the options make no sense.";

pub(crate) fn run(arguments: &SubscribeArguments) -> ExitCode {
    target::block_on(subscribe(arguments))
}

async fn subscribe(arguments: &SubscribeArguments) -> Result<(), Failure> {
    let properties = arguments.target.properties()?;
    let (client, mut messages) = arguments.target.connect(&properties, Reconnect::default()).await?;
    let work = async {
        // Messages of a resumed session come before the answer to SUBSCRIBE: they are to be read meanwhile.
        let mut printer = Printer::new(arguments);
        tokio::select! {
            outcome = ask(&client, arguments, &properties) => outcome?,
            outcome = printer.print_all(&client, &mut messages) => return outcome,
        }
        match arguments.exit_after_subscribe {
            true => Ok(()),
            false => printer.print_all(&client, &mut messages).await,
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        outcome = target::interrupted() => outcome,
        outcome = time_out(arguments) => outcome,
        never = target::report(&client, arguments.target.quiet) => match never {},
    };
    client.disconnect().await;
    outcome
}

/// Subscribes and unsubscribes. A failure only if nothing at all was granted.
async fn ask(
    client: &Client,
    arguments: &SubscribeArguments,
    properties: &Properties,
) -> Result<(), Failure> {
    let options = SubscriptionOptions {
        maximum_qos: arguments.qos,
        no_local: false,
        retain_as_published: arguments.retain_as_published,
        retain_handling: arguments.retain_handling,
    };
    let subscriptions =
        arguments.topics.iter().map(|filter| Subscription { filter: filter.clone(), options });
    let properties = &properties.subscribe;
    let reasons = client
        .subscribe_with(subscriptions, properties.id, properties.user_properties.clone())
        .await
        .map_err(|error| Failure::Run(format!("not subscribed: {error}")))?;
    let refusals: Vec<_> =
        arguments.topics.iter().zip(&reasons).filter(|(_, reason)| reason.is_error()).collect();
    let told = |(filter, reason): &(&TopicFilter, &_)| format!("server refused {filter}: {reason}");
    let told: Vec<_> = refusals.iter().map(told).collect();
    if refusals.len() == arguments.topics.len() {
        return Err(Failure::Run(told.join("\n")));
    }
    if !arguments.target.quiet {
        told.iter().for_each(|text| target::say(text));
    }
    if !arguments.unsubscribe.is_empty() {
        let unsubscribed = client.unsubscribe(arguments.unsubscribe.iter().cloned()).await;
        unsubscribed.map_err(|error| Failure::Run(format!("not unsubscribed: {error}")))?;
    }
    Ok(())
}

async fn time_out(arguments: &SubscribeArguments) -> Result<(), Failure> {
    match arguments.timeout {
        None => std::future::pending().await,
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
    }
    match (arguments.count, arguments.timeout) {
        (Some(count), Some(seconds)) => {
            Err(Failure::Run(format!("fewer than {count} messages came in {seconds} s (-C, -W)")))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Prints messages, and knows when it is done.
struct Printer<'a> {
    arguments: &'a SubscribeArguments,
    format: Format,
    output: BufWriter<StdoutLock<'static>>,
    printed: u64,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    More,
    Done,
}

impl<'a> Printer<'a> {
    fn new(arguments: &'a SubscribeArguments) -> Self {
        let format = match &arguments.format {
            Some(format) => format.clone(),
            None if arguments.verbose => Format::topic_and_payload(),
            None => Format::payload(),
        };
        Self { arguments, format, output: BufWriter::new(io::stdout().lock()), printed: 0 }
    }

    /// Prints until enough has come, nobody reads any more, or the client has ended.
    async fn print_all(&mut self, client: &Client, messages: &mut Messages) -> Result<(), Failure> {
        while let Some(first) = messages.recv().await {
            let mut next = Some(first);
            while let Some(received) = next {
                match self.print(&received).and_then(|progress| self.flush_if(progress)) {
                    Ok(Progress::More) => {}
                    Ok(Progress::Done) => return Ok(()),
                    // Whoever read our output has seen enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    Err(error) => return Err(Failure::Run(format!("standard output: {error}"))),
                }
                next = messages.try_recv();
            }
            match self.output.flush() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(Failure::Run(format!("standard output: {error}"))),
            }
        }
        match client.state() {
            State::Ended(cause) => Err(Failure::Run(cause.to_string())),
            State::Connected(_) | State::Reconnecting { .. } => Ok(()),
        }
    }

    fn print(&mut self, received: &Received) -> io::Result<Progress> {
        let is_retained = received.message.retain;
        if self.arguments.retained_only && !is_retained {
            return Ok(Progress::Done);
        }
        let is_unwanted = self.arguments.no_retained && is_retained
            || self.arguments.filter_out.iter().any(|filter| filter.matches(&received.message.topic));
        if is_unwanted {
            return Ok(Progress::More);
        }
        self.format.write(received, crate::clock::wall(), &mut self.output)?;
        if !self.arguments.no_newline {
            self.output.write_all(b"\n")?;
        }
        self.printed += 1;
        Ok(if self.arguments.count == Some(self.printed) { Progress::Done } else { Progress::More })
    }

    fn flush_if(&mut self, progress: Progress) -> io::Result<Progress> {
        if progress == Progress::Done {
            self.output.flush()?;
        }
        Ok(progress)
    }
}

fn retain_handling(text: &str) -> Result<RetainHandling, String> {
    match text {
        "always" => Ok(RetainHandling::Send),
        "new" => Ok(RetainHandling::SendIfNew),
        "never" => Ok(RetainHandling::DoNotSend),
        _ => Err("retained messages come always, new or never".to_owned()),
    }
}
