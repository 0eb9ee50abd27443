//! What Sentinel says: which server is the master, when asked, and that another one is, unasked.
//!
//! It follows nobody: who is told that a master was replaced decides what ends with it.

use std::sync::Arc;
use std::time::Duration;

use cache_core::ErrorKind;
use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::connection::{Listener, open_wire};
use crate::failure::{Effect, Failure};
use crate::servers::Sentinel;
use crate::{Address, Settings};

/// Where Sentinel tells that a master was replaced.
const CHANNEL: &str = "+switch-master";

/// How often a silent sentinel is asked whether it is still there. A half-open connection is noticed within this and one
/// timeout, and another sentinel listened to.
const SILENCE: Duration = Duration::from_secs(1);

/// What the first of the sentinels to answer says. A server that it names wrongly is a replica, and refused as such.
pub(crate) async fn master(settings: &Settings, sentinel: &Sentinel) -> Result<Address, Failure> {
    let ask = |address| {
        Box::pin(async move {
            let mut wire = open(settings, sentinel, address, None).await?;
            ask(&mut wire, sentinel, address).await
        })
    };
    select_ok(sentinel.addresses.iter().map(ask))
        .await
        .map(|(address, _)| address)
}

/// A sentinel that is listened to.
pub(crate) struct Watch<'s> {
    settings: &'s Settings,
    sentinel: &'s Sentinel,
    address: &'s Address,
    wire: MultiplexedConnection,
    said: UnboundedReceiver<Option<PushInfo>>,
}

impl<'s> Watch<'s> {
    /// Listens to the first sentinel to answer, and tells what it calls the master by then: what was said before is not
    /// missed. Within the connect timeout.
    pub(crate) async fn open(
        settings: &'s Settings,
        sentinel: &'s Sentinel,
    ) -> Result<(Self, Address), Failure> {
        let listen = |address| Box::pin(Self::listen(settings, sentinel, address));
        let opened = select_ok(sentinel.addresses.iter().map(listen));
        match timeout(settings.connect_timeout, opened).await {
            Ok(opened) => opened.map(|(opened, _)| opened),
            Err(_elapsed) => Err(Failure::late(Effect::None, "listening to Sentinel")),
        }
    }

    async fn listen(
        settings: &'s Settings,
        sentinel: &'s Sentinel,
        address: &'s Address,
    ) -> Result<(Self, Address), Failure> {
        let (sender, said) = unbounded_channel();
        // Who listened may have gone away.
        let listener: Listener = Arc::new(move |push| drop(sender.send(push)));
        let mut wire = open(settings, sentinel, address, Some(listener)).await?;
        let what = format!("subscribing at the sentinel {address}");
        let mut subscribe = redis::cmd("SUBSCRIBE");
        subscribe.arg(CHANNEL);
        let subscribed = subscribe.exec_async(&mut wire).await;
        subscribed.map_err(|error| Failure::of_sentinel(error, &what))?;
        let master = ask(&mut wire, sentinel, address).await?;
        let this = Self {
            settings,
            sentinel,
            address,
            wire,
            said,
        };
        Ok((this, master))
    }

    /// The next master to be announced; `None` when this sentinel cannot be heard any more.
    pub(crate) async fn next(&mut self) -> Option<Address> {
        loop {
            match timeout(SILENCE, self.said.recv()).await {
                Ok(Some(Some(push))) => {
                    if let Some(master) = announced(&push, &self.sentinel.master) {
                        return Some(master);
                    }
                }
                Ok(_end) => return None,
                Err(_silent) => {
                    let asked = ask(&mut self.wire, self.sentinel, self.address);
                    let _is_there = timeout(self.settings.response_timeout, asked).await.ok()?.ok()?;
                }
            }
        }
    }
}

/// The master in a message of Sentinel; `None` when it is about another name, or no such message.
fn announced(push: &PushInfo, name: &str) -> Option<Address> {
    let (PushKind::Message, [Value::BulkString(channel), Value::BulkString(message)]) =
        (&push.kind, &push.data[..])
    else {
        return None;
    };
    if channel != CHANNEL.as_bytes() {
        return None;
    }
    // NAME OLD-HOST OLD-PORT NEW-HOST NEW-PORT
    let words: Vec<_> = std::str::from_utf8(message).ok()?.split(' ').collect();
    let [of, _, _, host, port] = words[..] else {
        return None;
    };
    (of == name).then(|| Some(Address::new(host, port.parse().ok()?)))?
}

async fn open(
    settings: &Settings,
    sentinel: &Sentinel,
    address: &Address,
    listener: Option<Listener>,
) -> Result<MultiplexedConnection, Failure> {
    // Sentinel has users, and no databases, of its own.
    let settings = Settings {
        username: sentinel.username.clone(),
        password: sentinel.password.clone(),
        database: 0,
        ..settings.clone()
    };
    open_wire(&settings, address, &Arc::default(), listener)
        .await
        .map_err(|error| Failure::of_sentinel(error, &asking(sentinel, address)))
}

async fn ask(
    wire: &mut MultiplexedConnection,
    sentinel: &Sentinel,
    address: &Address,
) -> Result<Address, Failure> {
    let what = asking(sentinel, address);
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinel.master);
    let answer = question.query_async(wire).await;
    let answer: Value = answer.map_err(|error| Failure::of_sentinel(error, &what))?;
    if answer == Value::Nil {
        let message = format!("{what}: it watches no master of that name");
        return Err(Failure::new(ErrorKind::Unavailable, message));
    }
    let (host, port): (String, u16) =
        redis::from_redis_value(answer).map_err(|_no_address| Failure::corrupt(&what))?;
    Ok(Address::new(host, port))
}

fn asking(sentinel: &Sentinel, address: &Address) -> String {
    format!("asking Sentinel at {address} for {:?}", sentinel.master)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_master_is_read_from_its_announcement_if_it_has_the_name() {
        let push = |channel: &str, message: &str| PushInfo {
            kind: PushKind::Message,
            data: vec![
                Value::BulkString(channel.into()),
                Value::BulkString(message.into()),
            ],
        };
        let message = "market 10.0.0.1 6379 10.0.0.2 6380";
        let told = announced(&push(CHANNEL, message), "market");
        assert_eq!(told, Some(Address::new("10.0.0.2", 6380)));
        assert_eq!(announced(&push(CHANNEL, message), "mark"), None);
        assert_eq!(announced(&push("+sdown", message), "market"), None);
        assert_eq!(
            announced(&push(CHANNEL, "market 10.0.0.1 6379 10.0.0.2 x"), "market"),
            None
        );
    }
}
