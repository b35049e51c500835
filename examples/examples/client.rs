//! A program outside of a cluster that calls one of its services: where the client's certificate is, and where a node
//! listens. Try `cargo run -p odeon-examples --example client -- shop-cluster/clients/reports 127.0.0.1:7100`.
use odeon::remote::{Credentials, Transport, Trust};
use odeon::{Client, ClientConfig};
use odeon_examples::counter::CounterRef;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(problem) = call().await else { return ExitCode::SUCCESS };
    // nobody may be left to read it
    let _ = writeln!(std::io::stderr(), "client: {problem}");
    ExitCode::FAILURE
}

async fn call() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, addresses @ ..] = &arguments[..] else {
        return Err("expected DIRECTORY ADDRESS…".into());
    };
    #[expect(clippy::disallowed_methods, reason = "certificates hold by the clock of the host")]
    let now = SystemTime::now();
    let config = ClientConfig {
        addresses: addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>()?,
        trust: Trust::new(&Credentials::read(Path::new(directory))?, now)?,
        transport: Transport::default(),
    };
    let client = Client::connect(config).await?;
    let counter: CounterRef = client.entity("counter", "ada")?;
    writeln!(std::io::stdout(), "{}", counter.add(1).within(Duration::from_secs(1)).await?)?;
    client.close(Duration::from_secs(1)).await;
    Ok(())
}
