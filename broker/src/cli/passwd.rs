//! `rivulet passwd`.

use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argon2::Params;

use crate::access::password::PasswordFile;
use crate::access::password::edit::{self, PASSWORD_BYTES_MAX};

/// Sets, changes or deletes the password of a user in a password file.
///
/// The password is asked for twice and not shown, or read from standard input. The file is replaced at once and is for its
/// owner alone. A broker that runs reads it again when it reloads its configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PasswdArguments {
    /// Make the file; without this, a file that is not there is an error
    #[arg(short = 'c', long, conflicts_with = "delete")]
    create: bool,
    /// Delete the user
    #[arg(short = 'D', long)]
    delete: bool,
    /// Read the password from the first line of standard input
    #[arg(long, conflicts_with = "delete")]
    password_stdin: bool,
    /// For a client that authenticates with SCRAM-SHA-256 and never sends the password
    #[arg(long, conflicts_with = "delete")]
    scram: bool,
    /// The password file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The user
    #[arg(value_name = "USER", value_parser = user)]
    user: String,
}

const EXAMPLES: &str = "\
Examples:
  A first user, in a new file:
    rivulet passwd -c passwords jane

  From a script that has the password in a file:
    rivulet passwd --password-stdin passwords meter-7 < meter-7.secret

  A device that proves its password with SCRAM-SHA-256 instead of sending it:
    rivulet passwd --scram passwords meter-8

  Away with a user:
    rivulet passwd -D passwords jane

Exit codes: 0 done, 1 something failed, 2 the options make no sense.";

/// What a password costs to check: the default of the algorithm's authors for servers, 19 MiB and two passes.
const COST: Params = Params::DEFAULT;

pub(crate) fn run(arguments: &PasswdArguments) -> ExitCode {
    match edit(arguments) {
        Ok(done) => {
            // Nobody reads: the exit code still tells.
            drop(writeln!(io::stdout(), "{done}"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            drop(writeln!(io::stderr(), "{problem}"));
            ExitCode::from(super::EXIT_FAILURE)
        }
    }
}

fn edit(arguments: &PasswdArguments) -> Result<String, String> {
    let (path, user) = (&arguments.file, &arguments.user);
    let text = current(path, arguments.create)?;
    if arguments.delete {
        let text =
            edit::without_user(&text, user).ok_or_else(|| format!("{}: no user `{user}`", path.display()))?;
        replace(path, &text)?;
        return Ok(format!("deleted user `{user}`"));
    }
    let password = if arguments.password_stdin { from_stdin()? } else { asked_twice()? };
    edit::check_password(&password).map_err(|fault| fault.to_string())?;
    let hash = if arguments.scram {
        let password = str::from_utf8(&password).map_err(|_| "password is not UTF-8, as SCRAM asks for")?;
        edit::scram_keys(password)
    } else {
        edit::hash(&password, &COST).map_err(|error| format!("cannot hash the password: {error}"))?
    };
    replace(path, &edit::with_user(&text, user, &hash))?;
    Ok(format!("set the password of user `{user}`"))
}

/// The text of the file. One with faults is left alone: its meaning is not known.
fn current(path: &Path, create: bool) -> Result<String, String> {
    let name = path.display();
    let text = match fs::read_to_string(path) {
        Ok(_) if create => return Err(format!("{name}: is there already; leave out -c to change it")),
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => return Ok(String::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{name}: not found; -c makes it"));
        }
        Err(error) => return Err(format!("{name}: cannot be read: {error}")),
    };
    match PasswordFile::parse(&text) {
        Ok(_) => Ok(text),
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(|fault| format!("{name}: {fault}")).collect();
            Err(faults.join("\n"))
        }
    }
}

fn replace(path: &Path, text: &str) -> Result<(), String> {
    edit::replace(path, text).map_err(|error| format!("{}: cannot be written: {error}", path.display()))
}

fn asked_twice() -> Result<Vec<u8>, String> {
    let ask = |prompt| {
        rpassword::prompt_password(prompt)
            .map_err(|error| format!("cannot ask for a password here ({error}); --password-stdin reads it"))
    };
    let password = ask("Password: ")?;
    if ask("Again: ")? != password {
        return Err("the two passwords differ; nothing was changed".to_owned());
    }
    Ok(password.into_bytes())
}

/// The first line, without its end. As bytes: a password need not be text.
fn from_stdin() -> Result<Vec<u8>, String> {
    const LINE_END: &[u8] = b"\r\n";
    let bytes_max = u64::try_from(PASSWORD_BYTES_MAX + LINE_END.len()).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let read = io::stdin().lock().take(bytes_max).read_until(b'\n', &mut line);
    read.map_err(|error| format!("standard input: {error}"))?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    Ok(line)
}

fn user(text: &str) -> Result<String, String> {
    edit::check_name(text).map(|()| text.to_owned()).map_err(|fault| fault.to_string())
}
