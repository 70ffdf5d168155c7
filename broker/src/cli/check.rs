//! `rivulet check`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::Config;
use crate::access::{AccessControl, LoadFault};
use crate::config::{Fault, Faults};
use crate::tls::{self, OwnCertificates};

/// Finds all faults of a configuration without starting.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArguments {
    /// The configuration to check; without it, the defaults with the environment over them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(arguments: &CheckArguments) -> ExitCode {
    let file = arguments.config.as_deref();
    let checked = Config::load(file).and_then(|config| {
        let name = file.map_or_else(|| "defaults".to_owned(), |path| path.display().to_string());
        let mut faults = certificate_faults(&name, &config);
        faults.extend(access_faults(&name, &config));
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    });
    match checked {
        // Nobody reads: the exit code still tells.
        Ok(()) => {
            drop(writeln!(io::stdout(), "ok"));
            ExitCode::SUCCESS
        }
        Err(faults) => {
            drop(writeln!(io::stderr(), "{faults}"));
            ExitCode::from(super::EXIT_CONFIGURATION)
        }
    }
}

/// Loads the files of the access control, as a start would.
fn access_faults(file: &str, config: &Config) -> Vec<Fault> {
    let faults = AccessControl::load(&config.access, config.listener_access()).err().unwrap_or_default();
    let told = |fault: LoadFault| Fault {
        origin: file.to_owned(),
        key: fault.key.to_owned(),
        value: Some(format!("{:?}", fault.path)),
        problem: fault.problem,
    };
    faults.into_iter().map(told).collect()
}

/// Loads the certificates of each listener, as a start would. Those that a start would make are not missed.
fn certificate_faults(file: &str, config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let Some(tls) = &listener.tls else {
            continue;
        };
        for problem in tls::problems(tls) {
            faults.push(Fault {
                origin: file.to_owned(),
                key: format!("listener[{index}]"),
                value: None,
                problem: problem.to_string(),
            });
        }
    }
    if OwnCertificates::are_needed(config) && config.data_dir.is_file() {
        faults.push(Fault {
            origin: file.to_owned(),
            key: "data_dir".to_owned(),
            value: Some(format!("{:?}", config.data_dir)),
            problem: "is a file, not a folder".to_owned(),
        });
    }
    faults
}
