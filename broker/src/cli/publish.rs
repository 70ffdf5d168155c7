//! `rivulet pub`.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use rivulet_client::{Acknowledgement, Client, Message, QoS, Reconnect, RequestError, Topic};
use tokio::sync::mpsc;

use super::target::{self, Failure, Target};

/// Lines of standard input that may wait to be published.
const LINES_WAITING_MAX: usize = 64;

/// Lines that may be on their way at once.
const UNACKNOWLEDGED_MAX: usize = 1_024;

/// Publishes messages to a topic and waits until the server has them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true, after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("source").required(true))]
pub(crate) struct PublishArguments {
    /// Topic to publish to
    #[arg(short = 't', long, value_name = "TOPIC", value_parser = target::topic)]
    topic: Topic,
    /// Publish this text
    #[arg(short = 'm', long, value_name = "TEXT", group = "source", allow_hyphen_values = true)]
    message: Option<OsString>,
    /// Publish the content of a file
    #[arg(short = 'f', long, value_name = "FILE", group = "source")]
    file: Option<PathBuf>,
    /// Publish an empty message; with -r it takes the retained one away
    #[arg(short = 'n', long, group = "source")]
    null_message: bool,
    /// Publish each line of standard input as a message
    #[arg(short = 'l', long, group = "source")]
    stdin_line: bool,
    /// Publish all of standard input as one message
    #[arg(short = 's', long, group = "source")]
    stdin_file: bool,
    /// QoS: 0 at most once, 1 at least once, 2 exactly once
    #[arg(short = 'q', long, value_name = "QOS", default_value = "0", value_parser = target::qos)]
    qos: QoS,
    /// Let the server keep the message for those who subscribe later
    #[arg(short = 'r', long)]
    retain: bool,
    /// Publish the message so many times
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "stdin_line")]
    repeat: u64,
    /// Wait so many seconds in between
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds, conflicts_with = "stdin_line")]
    repeat_delay: Duration,
    #[command(flatten)]
    target: Target,
}

const EXAMPLES: &str = "\
Examples:
  A message over QUIC, with the certificates that `rivulet serve` made:
    rivulet pub --url quic://127.0.0.1:14567 --cafile rivulet-data/certs/ca.pem \\
        --cert rivulet-data/certs/devices/demo.pem --key rivulet-data/certs/devices/demo.key \\
        -t hello -m world -q 1

  The same over TCP:
    rivulet pub -h localhost -p 1883 -t hello -m world -q 1

  Every line of a log, exactly once each:
    tail -f machine.log | rivulet pub -t plant/7/log -l -q 2

  A state that late subscribers find, and its end:
    rivulet pub -t plant/7/state -m running -r
    rivulet pub -t plant/7/state -n -r

Exit codes: 0 the server has everything, 1 something failed, 2 the options make no sense.";

pub(crate) fn run(arguments: &PublishArguments) -> ExitCode {
    target::block_on(publish(arguments))
}

async fn publish(arguments: &PublishArguments) -> Result<(), Failure> {
    let properties = arguments.target.properties()?;
    let message = Message {
        topic: arguments.topic.clone(),
        qos: arguments.qos,
        retain: arguments.retain,
        payload: arguments.payload()?,
        properties: properties.publish.clone(),
    };
    // A single message that cannot be delivered is a failure to report; a stream of lines goes on.
    let reconnect = if arguments.stdin_line { Reconnect::default() } else { Reconnect::Never };
    let (client, messages) = arguments.target.connect(&properties, reconnect).await?;
    drop(messages); // what a resumed session may still bring is not asked for here
    let work = async {
        if arguments.stdin_line {
            publish_lines(&client, &message, arguments.target.quiet).await
        } else {
            publish_repeatedly(&client, &message, arguments.repeat, arguments.repeat_delay).await
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        outcome = target::interrupted() => outcome,
        never = target::report(&client, arguments.target.quiet) => match never {},
    };
    client.disconnect().await;
    outcome
}

impl PublishArguments {
    fn payload(&self) -> Result<Bytes, Failure> {
        if let Some(text) = &self.message {
            return Ok(text.clone().into_vec().into());
        }
        if let Some(file) = &self.file {
            let content = std::fs::read(file);
            let content = content.map_err(|error| Failure::Run(format!("{}: {error}", file.display())))?;
            return Ok(content.into());
        }
        let mut content = Vec::new();
        if self.stdin_file {
            io::stdin().lock().read_to_end(&mut content).map_err(stdin_fault)?;
        }
        Ok(content.into())
    }
}

async fn publish_repeatedly(
    client: &Client,
    message: &Message,
    count: u64,
    delay: Duration,
) -> Result<(), Failure> {
    for round in 0..count {
        if round > 0 && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        client.publish(message.clone()).await.map_err(|error| fault(message, &error))?;
    }
    Ok(())
}

/// Publishes every line. One that is refused is told of, and does not stop those that follow.
async fn publish_lines(client: &Client, message: &Message, quiet: bool) -> Result<(), Failure> {
    let mut lines = read_lines();
    let mut waiting = VecDeque::new();
    let mut failed = 0_u64;
    while let Some(line) = lines.recv().await {
        let payload = line.map_err(stdin_fault)?;
        let message = Message { payload, ..message.clone() };
        waiting.push_back(client.enqueue(message.clone()).await.map_err(|error| fault(&message, &error))?);
        if waiting.len() > UNACKNOWLEDGED_MAX {
            failed += settle(waiting.pop_front(), &message, quiet).await?;
        }
    }
    while !waiting.is_empty() {
        failed += settle(waiting.pop_front(), message, quiet).await?;
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Run(format!("{failed} lines were not published"))),
    }
}

/// Waits for one line's end: 0 if it was published, 1 if not.
async fn settle(line: Option<Acknowledgement>, message: &Message, quiet: bool) -> Result<u64, Failure> {
    let Some(line) = line else {
        return Ok(0);
    };
    match line.done().await {
        Ok(_) => Ok(0),
        Err(error @ RequestError::Closed(_)) => Err(fault(message, &error)),
        Err(error) => {
            if !quiet {
                target::say(&format!("a line to {} is lost: {error}", message.topic));
            }
            Ok(1)
        }
    }
}

/// The lines of standard input, without their ends. A terminal cannot be read without blocking: that is a thread's work.
fn read_lines() -> mpsc::Receiver<io::Result<Bytes>> {
    let (lines, taken) = mpsc::channel(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map(|mut line| {
                if line.ends_with(b"\r") {
                    line.pop();
                }
                Bytes::from(line)
            });
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    taken
}

fn fault(message: &Message, error: &RequestError) -> Failure {
    Failure::Run(format!("message to {} is not published: {error}", message.topic))
}

fn stdin_fault(error: io::Error) -> Failure {
    Failure::Run(format!("standard input: {error}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "seconds are a number that is not negative".to_owned())
}
