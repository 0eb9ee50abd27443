//! A TCP proxy between nodes and a server, which can be made worse while it runs.
//!
//! It knows two kinds of connections by what is said on them: those that subscribe, and all others.

mod frames;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub(crate) use frames::Events;
use frames::Frames;

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Passage {
    #[default]
    Open,
    /// They wait until it opens again: nothing is lost, nobody is told.
    Frozen,
    /// They are gone, and nobody is told: a half-open connection.
    Swallowed,
    /// They arrive this much later.
    Late(Duration),
    /// So many pass in a second.
    Narrow(u64),
    /// What the server takes back is kept from the node, and nothing else: it goes on asking, and is answered.
    WithoutTakebacks,
    /// Events do not pass as they are; all else does.
    Events(Events),
    /// This many more pass, and then the connection is reset: a frame is cut in the middle.
    CutAfter(usize),
}

/// What happens on one kind of connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) to_server: Passage,
    pub(crate) to_node: Passage,
    /// Connections with a smaller number are reset.
    oldest: u64,
}

#[derive(Clone, Debug)]
struct State {
    upstream: SocketAddr,
    accepts: bool,
    data: Weather,
    bus: Weather,
    connections: u64,
    swallowed: u64,
    /// Events that were lost, doubled or moved.
    touched: u64,
}

/// Which connections are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Data,
    Bus,
}

/// A proxy. Dropping it closes everything.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<watch::Sender<State>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn to(server: &crate::server::Server) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(watch::Sender::new(State {
            upstream: address(server),
            accepts: true,
            data: Weather::default(),
            bus: Weather::default(),
            connections: 0,
            swallowed: 0,
            touched: 0,
        }));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Self {
            port,
            state,
            _tasks: tasks,
        }
    }

    /// Changes what happens on one kind of connections from now on, those that exist included.
    pub(crate) fn weather(&self, kind: Kind, to_server: Passage, to_node: Passage) {
        self.state.send_modify(|state| {
            let weather = state.of(kind);
            (weather.to_server, weather.to_node) = (to_server, to_node);
        });
    }

    /// The same for all connections.
    pub(crate) fn weather_everywhere(&self, to_server: Passage, to_node: Passage) {
        self.weather(Kind::Data, to_server, to_node);
        self.weather(Kind::Bus, to_server, to_node);
    }

    /// Everything passes again.
    pub(crate) fn calm(&self) {
        self.weather_everywhere(Passage::Open, Passage::Open);
    }

    /// Resets the connections of one kind that exist.
    pub(crate) fn reset(&self, kind: Kind) {
        self.state.send_modify(|state| {
            let next = state.connections;
            state.of(kind).oldest = next;
        });
    }

    /// How many channels were taken back without the node being told.
    pub(crate) fn swallowed(&self) -> u64 {
        self.state.borrow().swallowed
    }

    /// How many events were lost, doubled or put elsewhere.
    pub(crate) fn touched(&self) -> u64 {
        self.state.borrow().touched
    }

    /// Refuses new connections, or takes them again.
    pub(crate) fn accept(&self, accepts: bool) {
        self.state.send_modify(|state| state.accepts = accepts);
    }

    /// Leads new connections to another server and resets those that exist: a name that has moved.
    pub(crate) fn move_to(&self, server: &crate::server::Server) {
        let upstream = address(server);
        self.state.send_modify(|state| {
            state.upstream = upstream;
            state.data.oldest = state.connections;
            state.bus.oldest = state.connections;
        });
    }
}

impl State {
    const fn of(&mut self, kind: Kind) -> &mut Weather {
        match kind {
            Kind::Data => &mut self.data,
            Kind::Bus => &mut self.bus,
        }
    }
}

fn address(server: &crate::server::Server) -> SocketAddr {
    SocketAddr::new(server.host.parse().expect("an address"), server.port)
}

async fn accept(listener: TcpListener, state: Arc<watch::Sender<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((node, _)) = listener.accept().await {
        let mut number = 0;
        state.send_modify(|state| {
            number = state.connections;
            state.connections += 1;
        });
        if state.borrow().accepts {
            connections.spawn(carry(node, number, Arc::clone(&state)));
        }
    }
}

async fn carry(node: TcpStream, number: u64, state: Arc<watch::Sender<State>>) {
    let upstream = state.borrow().upstream;
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (node.set_nodelay(true), server.set_nodelay(true));
    // A reset, not an end: what is on its way is lost.
    let _ = (node.set_zero_linger(), server.set_zero_linger());
    let kind = Arc::new(watch::Sender::new(Kind::Data));
    let ((from_node, to_node), (from_server, to_server)) = (node.into_split(), server.into_split());
    let up = pump(
        from_node,
        to_server,
        Way {
            number,
            up: true,
            state: state.subscribe(),
            tell: Arc::clone(&state),
            kind: Arc::clone(&kind),
        },
    );
    let down = pump(
        from_server,
        to_node,
        Way {
            number,
            up: false,
            state: state.subscribe(),
            tell: Arc::clone(&state),
            kind,
        },
    );
    // Whichever ends first takes the other with it.
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}

struct Way {
    number: u64,
    up: bool,
    state: watch::Receiver<State>,
    tell: Arc<watch::Sender<State>>,
    kind: Arc<watch::Sender<Kind>>,
}

impl Way {
    /// What happens to bytes now; `None` when the connection is to be reset.
    fn passage(&mut self) -> Option<Passage> {
        let mut state = self.state.borrow_and_update().clone();
        let weather = *state.of(*self.kind.borrow());
        (weather.oldest <= self.number).then_some(if self.up {
            weather.to_server
        } else {
            weather.to_node
        })
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: Way) {
    let mut buffer = vec![0; 64 << 10];
    let (mut passed, mut frames) = (0, Frames::default());
    loop {
        let Some(passage) = way.passage() else { return };
        if passage == Passage::Open && to.write_all(&frames.rest()).await.is_err() {
            return;
        }
        let read = tokio::select! {
            biased;
            changed = way.state.changed() => match changed {
                Ok(()) => continue,
                Err(_gone) => return,
            },
            read = from.read(&mut buffer), if passage != Passage::Frozen => read,
        };
        let Ok(count @ 1..) = read else { return };
        let mut bytes = &buffer[..count];
        let rest;
        if way.up && bytes.windows(10).any(|word| word == b"SSUBSCRIBE") {
            way.kind.send_replace(Kind::Bus);
        }
        match way.passage() {
            None => return,
            Some(Passage::Swallowed) => continue,
            Some(Passage::Late(delay)) => sleep_until(Instant::now() + delay).await,
            Some(Passage::Narrow(rate)) => {
                sleep_until(Instant::now() + Duration::from_secs_f64(count as f64 / rate as f64)).await;
            }
            Some(Passage::WithoutTakebacks) => {
                let taken;
                (rest, taken) = without_takebacks(bytes);
                if taken > 0 {
                    // Nobody waits for this: only the count changes.
                    way.tell.send_if_modified(|state| {
                        state.swallowed += taken;
                        false
                    });
                }
                bytes = &rest;
            }
            Some(Passage::Events(events)) => {
                let touched;
                (rest, touched) = frames.pass(bytes, events);
                // Nobody waits for this: only the count changes.
                way.tell.send_if_modified(|state| {
                    state.touched += touched;
                    false
                });
                bytes = &rest;
            }
            Some(Passage::CutAfter(limit)) => {
                bytes = &bytes[..count.min(limit.saturating_sub(passed))];
                passed += bytes.len();
                if to.write_all(bytes).await.is_err() || passed >= limit {
                    return;
                }
                continue;
            }
            // It froze between the look and the read.
            Some(Passage::Frozen) => {
                while way.passage() == Some(Passage::Frozen) {
                    if way.state.changed().await.is_err() {
                        return;
                    }
                }
            }
            Some(Passage::Open) => {}
        }
        if way.passage().is_none() || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// The same without pushes that take a channel back, and how many there were. They come in one piece, since the server
/// writes them in one go.
fn without_takebacks(bytes: &[u8]) -> (Vec<u8>, u64) {
    const BEGIN: &[u8] = b">3\r\n$12\r\nsunsubscribe\r\n";
    let (mut rest, mut taken, mut at) = (Vec::with_capacity(bytes.len()), 0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(BEGIN) {
            // What follows is the channel's length, the channel, and a count: three lines.
            let lines = bytes[at + BEGIN.len()..]
                .split_inclusive(|byte| *byte == b'\n')
                .take(3);
            at += BEGIN.len() + lines.map(<[u8]>::len).sum::<usize>();
            taken += 1;
        } else {
            rest.push(bytes[at]);
            at += 1;
        }
    }
    (rest, taken)
}
