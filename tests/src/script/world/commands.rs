//! What a line of a script makes happen.
//!
//! | command | what happens |
//! |---|---|
//! | `c > PACKET …` | client `c` sends a packet; its first one, or one after its connection ended, connects it first |
//! | `c/2 > PACKET …` | the same on its data flow 2 |
//! | `c connects credit=20 listener=1 common-name="x"` | a connection is accepted, with this credit for its control flow |
//! | `c sends 30 03 00 01 61` | bytes arrive, in hexadecimal |
//! | `c loses` | the connection is lost without a word |
//! | `c finishes`, `c/2 finishes` | a flow ends in order |
//! | `c/2 opens`, `c/2 resets` | a data flow begins, breaks off |
//! | `c stops reading`, `c reads 3`, `c reads` | credit is not given back, is for three packets, is for all and from here on |
//! | `disk stalls`, `disk writes 1`, `disk resumes`, `disk fails` | batches wait, one is written, all are, none is |
//! | `clock +90s` | time passes; timers fire when they are due |
//! | `access waits`, `access accepts c`, `access refuses c REASON`, `access answers` | verdicts by hand, and at once again |
//! | `access continues c data="x"`, `access accepts c data="x"` | the same in a client's enhanced authentication |
//! | `access denies publish "a/#"` | for clients that are accepted later; also `subscribe`, `receive` |
//! | `limits NAME=VALUE …` | the operator changes limits |
//! | `operator drains`, `operator disconnects c REASON` | the operator's other commands |
//! | `broker restarts` | another broker starts from what the disk has; connections are lost |
//! | `show capabilities` | CONNACK is shown with what it says about the server |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rivulet_core::access::Verdict;
use rivulet_core::cause::NetworkLoss;
use rivulet_core::durable::StoreFault;
use rivulet_core::input::{Identity, OperatorCommand};
use rivulet_core::{ConnectionKey, FlowKey, Input, ListenerKey};
use rivulet_protocol::flow::FlowKind;
use rivulet_protocol::{ClientId, Decoder, Packet, TopicFilter, Version};

use super::{CREDIT, Connection, World, limits};
use crate::notation::{self, Line};

impl World {
    /// Does what a line says, and lets everything come to rest.
    pub(in crate::script) fn command(&mut self, text: &str) -> Result<(), String> {
        if let Some((speaker, packet)) = text.split_once(" > ") {
            return self.client_sends(speaker, packet);
        }
        let mut line = Line::parse(text)?;
        let subject = line.word().ok_or("who?")?;
        match subject.as_str() {
            "disk" => self.disk_command(&mut line)?,
            "clock" => self.clock_command(&mut line)?,
            "access" => self.access_command(&mut line)?,
            "limits" => self.limits_command(&mut line)?,
            "operator" => self.operator_command(&mut line)?,
            "broker" if line.flag("restarts") => self.restart(),
            "show" if line.flag("capabilities") => self.shows_capabilities = true,
            client => self.client_command(client, &mut line)?,
        }
        line.end()?;
        self.come_to_rest();
        Ok(())
    }

    fn client_sends(&mut self, speaker: &str, text: &str) -> Result<(), String> {
        let (name, flow) = speaker_of(speaker)?;
        let mut line = Line::parse(text)?;
        let mut packet = notation::packet(&mut line)?;
        line.end()?;
        if self.open_connection(name).is_err() {
            self.connect(name, &mut Line::default())?;
        }
        let connection = self.open_connection(name)?;
        if let Packet::Connect(connect) = &mut packet {
            let is_anonymous = text.split(' ').any(|word| word == "anonymous");
            if connect.client_id.is_none() && !is_anonymous {
                connect.client_id = ClientId::parse(name.to_owned());
            }
            self.connection(connection).version = connect.version;
        }
        self.handle(Input::PacketReceived { connection, flow, packet });
        self.come_to_rest();
        Ok(())
    }

    fn client_command(&mut self, speaker: &str, line: &mut Line) -> Result<(), String> {
        let (name, flow) = speaker_of(speaker)?;
        let verb = line.word().ok_or("does what?")?;
        if verb == "connects" {
            return self.connect(name, line);
        }
        let connection = self.open_connection(name)?;
        match verb.as_str() {
            "sends" => self.receive_bytes(connection, flow, line)?,
            "loses" => self.lose(connection),
            "finishes" => self.handle(Input::FlowFinished { connection, flow }),
            "resets" => self.handle(Input::FlowReset { connection, flow, code: 0 }),
            "opens" => {
                let opened = self.connection(connection);
                opened.credit.insert(flow, (CREDIT, 0));
                opened.paused.insert(flow);
                opened.paused_told.insert(flow);
                self.handle(Input::FlowOpened {
                    connection,
                    flow,
                    kind: FlowKind::ClientData,
                    credit: CREDIT,
                });
            }
            "stops" if line.flag("reading") => self.connection(connection).reads = false,
            "reads" => match line.word() {
                None => self.connection(connection).reads = true,
                Some(count) => {
                    let packets = count.parse().map_err(|_| format!("reads how many? {count}"))?;
                    self.give_credit(connection, flow, packets);
                }
            },
            other => return Err(format!("clients do not know how to {other}")),
        }
        Ok(())
    }

    fn connect(&mut self, name: &str, line: &mut Line) -> Result<(), String> {
        self.last_connection.0 += 1;
        let connection = self.last_connection;
        let credit = line.number("credit")?.unwrap_or(CREDIT);
        let listener = ListenerKey(line.number("listener")?.unwrap_or(0));
        let common_name = line.value_text("common-name")?;
        let identity = common_name.map(|name| Identity { common_name: Some(name), ..Identity::default() });
        self.clients.entry(name.to_owned()).or_default().connection = Some(connection);
        self.connections.insert(
            connection,
            Connection {
                name: name.to_owned(),
                version: Version::V5,
                reads: true,
                credit: BTreeMap::from([(FlowKey::CONTROL, (credit, 0))]),
                paused: BTreeSet::new(),
                paused_told: BTreeSet::new(),
                is_open: true,
                closed_events: 0,
            },
        );
        self.handle(Input::ConnectionOpened { connection, listener, identity, credit });
        Ok(())
    }

    fn receive_bytes(
        &mut self,
        connection: ConnectionKey,
        flow: FlowKey,
        line: &mut Line,
    ) -> Result<(), String> {
        let mut buffer = BytesMut::new();
        while let Some(byte) = line.word() {
            buffer.extend([u8::from_str_radix(&byte, 16).map_err(|_| format!("{byte} is no byte"))?]);
        }
        let version = self.connection(connection).version;
        let mut decoder = Decoder::with_version(version, self.limits.maximum_packet_bytes as usize);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(packet)) => self.handle(Input::PacketReceived { connection, flow, packet }),
                Ok(None) if buffer.is_empty() => return Ok(()),
                Ok(None) => return Err("these bytes are less than a packet".to_owned()),
                Err(error) => {
                    self.handle(Input::PacketRejected { connection, flow, error });
                    return Ok(());
                }
            }
        }
    }

    fn lose(&mut self, connection: ConnectionKey) {
        self.connection(connection).is_open = false;
        self.handle(Input::ConnectionLost { connection, loss: NetworkLoss::ClosedByPeer });
    }

    fn disk_command(&mut self, line: &mut Line) -> Result<(), String> {
        match line.word().as_deref() {
            Some("stalls") => self.disk_stalls = true,
            Some("resumes") => self.disk_stalls = false,
            Some("writes") => {
                let batches = line.word().and_then(|count| count.parse().ok()).ok_or("writes how many?")?;
                self.write(batches);
            }
            Some("fails") => {
                if let Some(from) = self.disk.fail() {
                    self.handle(Input::PersistFailed { from, fault: StoreFault::Failing });
                }
            }
            _ => return Err("disks stall, write, resume and fail".to_owned()),
        }
        Ok(())
    }

    fn clock_command(&mut self, line: &mut Line) -> Result<(), String> {
        let text = line.word().ok_or("how long?")?;
        let until = self.now.instant + duration(&text)?;
        while let Some((due, _)) = self.broker.poll_timeout().filter(|(due, _)| *due <= until) {
            self.pass_until(due.max(self.now.instant));
            self.come_to_rest();
        }
        self.pass_until(until);
        Ok(())
    }

    fn access_command(&mut self, line: &mut Line) -> Result<(), String> {
        let verb = line.word().ok_or("does what?")?;
        match verb.as_str() {
            "waits" => self.access_waits = true,
            "answers" => self.access_waits = false,
            "accepts" => {
                let name = line.word().ok_or("accepts whom?")?;
                let connection = self.open_connection(&name)?;
                let data = line.value_bytes("data")?.map(Bytes::from);
                self.accept(connection, data);
            }
            "continues" => {
                let name = line.word().ok_or("continues with whom?")?;
                let connection = self.open_connection(&name)?;
                let data = line.value_bytes("data")?.map(Bytes::from).unwrap_or_default();
                self.handle(Input::Authenticated { connection, verdict: Verdict::Continue { data } });
            }
            "refuses" => {
                let name = line.word().ok_or("refuses whom?")?;
                let reason = notation::reason(&line.word().ok_or("why?")?)?;
                let connection = self.open_connection(&name)?;
                self.handle(Input::Authenticated { connection, verdict: Verdict::Refused(reason) });
            }
            "denies" => {
                let what = line.word().ok_or("denies what?")?;
                let filter = TopicFilter::parse(line.text()?.ok_or("denies which topics?")?);
                let filter = filter.map_err(|error| error.to_string())?;
                match what.as_str() {
                    "publish" => self.denials.publish.push(filter),
                    "subscribe" => self.denials.subscribe.push(filter),
                    "receive" => self.denials.receive.push(filter),
                    other => return Err(format!("denies what? {other}")),
                }
            }
            other => return Err(format!("access does not know how to {other}")),
        }
        Ok(())
    }

    fn limits_command(&mut self, line: &mut Line) -> Result<(), String> {
        limits::change(&mut self.limits, line)?;
        self.handle(Input::Operator(OperatorCommand::Limits(Box::new(self.limits.clone()))));
        Ok(())
    }

    fn operator_command(&mut self, line: &mut Line) -> Result<(), String> {
        match line.word().as_deref() {
            Some("drains") => self.handle(Input::Operator(OperatorCommand::Drain)),
            Some("disconnects") => {
                let client_id =
                    ClientId::parse(line.word().ok_or("disconnects whom?")?).ok_or("no client")?;
                let reason = notation::reason(&line.word().ok_or("why?")?)?;
                self.handle(Input::Operator(OperatorCommand::Disconnect { client_id, reason }));
            }
            _ => return Err("operators drain and disconnect".to_owned()),
        }
        Ok(())
    }
}

/// `c/2` is flow 2 of client `c`.
fn speaker_of(text: &str) -> Result<(&str, FlowKey), String> {
    match text.split_once('/') {
        None => Ok((text, FlowKey::CONTROL)),
        Some((name, flow)) => {
            flow.parse().map(|flow| (name, FlowKey(flow))).map_err(|_| format!("{flow}: no flow"))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let number = text.trim_start_matches('+');
    let unit = number.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = number[..number.len() - unit.len()].parse().map_err(|_| format!("{text} is no time"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        "h" => Ok(Duration::from_secs(count * 3600)),
        _ => Err(format!("{text} is no time")),
    }
}
