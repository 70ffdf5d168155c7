//! Prints messages that come over QUIC, whatever happens to the connection in between.
//!
//! ```text
//! rivulet serve      # in another window; makes the certificates that are named here
//! cargo run -p rivulet-client --example subscribe -- quic://localhost:14567 'greetings/#' \
//!     rivulet-data/certs/ca.pem rivulet-data/certs/devices/demo.pem rivulet-data/certs/devices/demo.key
//! ```

use std::error::Error;
use std::io::Write;
use std::path::Path;

use rivulet_certs::{Credentials, TlsVersions, client_config, load_roots};
use rivulet_client::{Client, Options, QoS, subscription};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, filter, roots, chain, key] = arguments.as_slice() else {
        return Err("usage: subscribe URL FILTER CA CERTIFICATE KEY".into());
    };
    let roots = load_roots(Path::new(roots))?;
    let credentials = Credentials::load(Path::new(chain), Path::new(key))?;
    let tls = client_config(TlsVersions::Only13, roots, Some(credentials), &[])?;

    let (client, mut messages) = Client::connect(Options::new(url)?.tls(tls)).await?;
    let reasons = client.subscribe([subscription(filter, QoS::AtLeastOnce)?]).await?;
    if let Some(refusal) = reasons.iter().find(|reason| reason.is_error()) {
        return Err(format!("{filter}: {refusal}").into());
    }
    let mut output = std::io::stdout().lock();
    while let Some(received) = messages.recv().await {
        write!(output, "{} ", received.message.topic)?;
        output.write_all(&received.message.payload)?;
        writeln!(output)?;
    }
    Ok(())
}
