//! The task that keeps a client connected: one connection after the other, one session.

mod connection;

use rivulet_protocol::packet::Disconnect;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::connection::Connection;
use crate::backoff::{self, Backoff, STABLE_AFTER};
use crate::connect::{Accepted, Connector};
use crate::error::{Cause, ConnectError};
use crate::request::{Received, Request};
use crate::session::Session;
use crate::state::State;

/// The application's last wish.
#[derive(Debug)]
pub(crate) struct Goodbye {
    pub(crate) packet: Disconnect,
    pub(crate) done: oneshot::Sender<()>,
}

/// Where the application's wishes come from and its messages go to.
#[derive(Debug)]
pub(crate) struct Application {
    requests: mpsc::Receiver<Request>,
    messages: mpsc::Sender<Received>,
    goodbyes: mpsc::Receiver<Goodbye>,
}

impl Application {
    /// The wish to end. `None`: nobody is left who could have one.
    async fn farewell(
        goodbyes: &mut mpsc::Receiver<Goodbye>,
        messages: &mpsc::Sender<Received>,
    ) -> Option<Goodbye> {
        let goodbye = goodbyes.recv().await;
        if goodbye.is_none() {
            messages.closed().await;
        }
        goodbye
    }
}

/// Owns the session, and its connection while there is one.
pub(crate) struct Driver {
    connector: Connector,
    session: Session,
    application: Application,
    state: watch::Sender<State>,
    backoff: Backoff,
    connection: Connection,
    connected_at: Instant,
}

impl Driver {
    /// Makes the first connection.
    pub(crate) async fn connect(
        mut connector: Connector,
        requests: mpsc::Receiver<Request>,
        messages: mpsc::Sender<Received>,
        goodbyes: mpsc::Receiver<Goodbye>,
    ) -> Result<(Self, watch::Receiver<State>), ConnectError> {
        let mut session = Session::new(connector.options());
        let accepted = connector.connect(session.clean_start()).await?;
        let (connection, connected) = open(&mut connector, &mut session, accepted).await?;
        let (state, watch) = watch::channel(connected);
        let backoff = Backoff::new(connector.options().reconnect, backoff::seed());
        let application = Application { requests, messages, goodbyes };
        let connected_at = Instant::now();
        Ok((Self { connector, session, application, state, backoff, connection, connected_at }, watch))
    }

    /// Runs until the application says goodbye, or there is no further attempt.
    pub(crate) async fn run(mut self) {
        let (cause, goodbye) = loop {
            let (cause, goodbye) = self.connection.run(&mut self.session, &mut self.application).await;
            if goodbye.is_some() || cause.is_final() {
                self.connection.close(&cause, goodbye.as_ref()).await;
                break (cause, goodbye);
            }
            self.session.lost();
            if self.connected_at.elapsed() >= STABLE_AFTER {
                self.backoff.reset();
            }
            let Some((pause, attempt)) = self.backoff.next() else {
                self.connection.close(&cause, None).await;
                break (cause, None);
            };
            self.state.send_replace(State::Reconnecting { cause: cause.clone(), attempt, pause });
            self.connection.close(&cause, None).await;
            match self.reconnect(pause).await {
                Ok(connection) => self.connection = connection,
                Err((cause, goodbye)) => break (cause, goodbye),
            }
        };
        // First the state, so that whoever waits for a dropped answer finds out why.
        self.state.send_replace(State::Ended(cause));
        if let Some(goodbye) = goodbye {
            goodbye.done.send(()).unwrap_or(()); // whoever said goodbye need not wait for the end
        }
    }

    /// Tries until there is a connection, beginning after a pause.
    async fn reconnect(
        &mut self,
        mut pause: std::time::Duration,
    ) -> Result<Connection, (Cause, Option<Goodbye>)> {
        loop {
            let attempt = async {
                tokio::time::sleep(pause).await;
                let accepted = self.connector.connect(self.session.clean_start()).await?;
                open(&mut self.connector, &mut self.session, accepted).await
            };
            let Application { goodbyes, messages, .. } = &mut self.application;
            let attempt = tokio::select! {
                attempt = attempt => attempt,
                goodbye = Application::farewell(goodbyes, messages) => return Err((Cause::Goodbye, goodbye)),
            };
            let error = match attempt {
                Ok((connection, connected)) => {
                    self.state.send_replace(connected);
                    self.connected_at = Instant::now();
                    return Ok(connection);
                }
                Err(error) => error,
            };
            let is_final = error.is_final();
            let cause = Cause::Reconnect(error.into());
            match self.backoff.next() {
                Some((next, attempt)) if !is_final => {
                    pause = next;
                    self.state.send_replace(State::Reconnecting { cause, attempt, pause });
                }
                Some(_) | None => return Err((cause, None)),
            }
        }
    }
}

/// Takes up the session on a connection that the server has accepted.
async fn open(
    connector: &mut Connector,
    session: &mut Session,
    accepted: Accepted,
) -> Result<(Connection, State), ConnectError> {
    match session.connected(&accepted.connack, connector.options()) {
        Ok(connected) => {
            if let Some(id) = &connected.client_id {
                connector.set_client_id(id.clone());
            }
            let connection = Connection::new(accepted, &connected, connector.options());
            Ok((connection, State::Connected(connected)))
        }
        Err(fault) => {
            accepted.link.close().await;
            Err(ConnectError::Lost { url: connector.options().url.clone(), cause: fault.into() })
        }
    }
}
