//! The coherence follower of one shard: a pure state machine from what a node sees to what it must do.
//!
//! No I/O, no clock, no lock, no task: moments are handed in, deeds come out as [`Effect`]s. It knows nothing of
//! values; whether a cached value may be served follows from its lease, generation and barriers alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use cache_core::{EventId, EventOp, Head, Lineage, LogEntry, Moment, Replay, Seq, ServerId, WireEvent};

use crate::rules::{Rule, Rules};

mod reaching;
mod words;

pub use words::{Effect, Probe, Reached, Source, Tally, Verdict};

/// Recent (seq, id) pairs kept to recognise a fork. A fork that lies further back shows as a trimmed log.
const KNOWN: usize = 512;
/// Events kept that came before their predecessors. With more, the hole is given up: the shard is flushed.
const EARLY: usize = 4_096;
/// Heads remembered until the cursor reaches them. Forgetting one only delays a renewal.
const PENDING: usize = 16;
/// Superseded lineages remembered, to recognise a server that has fallen back to one of them.
const PAST: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No head has been seen yet.
    New,
    /// Following.
    Live,
    /// The server is another one; whether its history is ours is being checked.
    Verifying,
    /// History was rewritten; a new lineage is being started.
    Repairing,
}

/// Follows one shard's history.
///
/// ```
/// use cache_core::{EventId, Head, Lineage, Moment, Seq, ServerId, ServerMark};
/// use event_bus::{Follower, Source, Verdict};
/// use std::time::Duration;
///
/// let mut follower = Follower::new(Duration::from_secs(3), Duration::from_secs(2));
/// let now = Moment::from_nanos(5);
/// let probe = follower.probe(now);
/// let (lineage, mark) = (Lineage(1), ServerMark(0));
/// let head = Head { lineage, seq: Seq(7), id: EventId(70), floor: Seq(0), mark };
/// let mut effects = Vec::new();
/// let verdict = follower.observe(now, &probe, Source::Bus, ServerId(1), Some(head), &mut effects);
/// assert_eq!(verdict, Verdict::Admit { as_of: Seq(7) });
/// assert_eq!(follower.lease(), now + Duration::from_secs(3));
/// ```
#[derive(Debug)]
pub struct Follower {
    lease_span: Duration,
    deadline: Duration,
    rules: Rules,
    state: State,
    lineage: Lineage,
    server: ServerId,
    past: VecDeque<Lineage>,
    cursor: Seq,
    cursor_id: EventId,
    seen: Seq,
    known: BTreeMap<Seq, EventId>,
    early: BTreeMap<Seq, (EventId, EventId)>,
    pending: VecDeque<(Seq, Moment)>,
    lease: Moment,
    generation: u64,
    /// The newest event known to exist at the last flush.
    flushed: Seq,
    era: u64,
    replaying: bool,
    adopting: bool,
    tally: Tally,
}

impl Follower {
    /// A follower that has seen nothing: no lease, nothing admitted.
    ///
    /// `lease_span` is how long a renewal lasts (L); `deadline` how old an answer may be when it comes (D <= L).
    pub fn new(lease_span: Duration, deadline: Duration) -> Self {
        Self {
            lease_span,
            deadline: deadline.min(lease_span),
            rules: Rules::default(),
            state: State::New,
            lineage: Lineage::default(),
            server: ServerId::default(),
            past: VecDeque::new(),
            cursor: Seq::ZERO,
            cursor_id: EventId::default(),
            seen: Seq::ZERO,
            known: BTreeMap::new(),
            early: BTreeMap::new(),
            pending: VecDeque::new(),
            lease: Moment::NEVER,
            generation: 1,
            flushed: Seq::ZERO,
            era: 1,
            replaying: false,
            adopting: false,
            tally: Tally::default(),
        }
    }

    /// The same follower under other rules.
    #[must_use]
    pub const fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Until when memory hits are allowed.
    pub fn lease(&self) -> Moment {
        if self.rules.hold(Rule::LeaseCheck) || self.state == State::New {
            self.lease
        } else {
            Moment::FOREVER
        }
    }

    /// The generation that entries must carry to be served.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The newest event known to exist at the last flush. What an event up to there carries may be outdated by what the flush
    /// stands for, however late it comes.
    pub const fn flushed(&self) -> Seq {
        self.flushed
    }

    /// The newest event up to which all have been applied.
    pub const fn cursor(&self) -> Seq {
        self.cursor
    }

    /// The highest sequence number known to exist.
    pub const fn seen(&self) -> Seq {
        self.seen
    }

    /// The lineage followed, unless it is under repair or unknown.
    pub fn lineage(&self) -> Option<Lineage> {
        matches!(self.state, State::Live | State::Verifying).then_some(self.lineage)
    }

    /// Whether the history followed is known to be the server's.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// What happened so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What to remember while a question is under way.
    pub fn probe(&self, now: Moment) -> Probe {
        Probe {
            sent: now,
            era: self.era,
            generation: self.generation,
            seen: self.seen,
            lineage: self.lineage(),
        }
    }

    /// An answer came, with the head that stood when it was given. Every answer is put through here: a heartbeat, a
    /// read, the acknowledgement of an own write, an adoption.
    pub fn observe(
        &mut self,
        now: Moment,
        probe: &Probe,
        source: Source,
        server: ServerId,
        head: Option<Head>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        if self.rules.hold(Rule::GenerationCheck) && probe.era != self.era {
            return Verdict::Restart;
        }
        let late = now.since(probe.sent) > self.deadline;
        if late && source != Source::Bus && self.rules.hold(Rule::LoadDeadline) {
            // A late heartbeat is still worth the lease that runs from when it was sent; a late value is not.
            return Verdict::Restart;
        }
        let Some(head) = head else {
            return if source == Source::Any {
                Verdict::AskPrimary
            } else {
                self.repair(None, out)
            };
        };
        if self.state == State::New || head.lineage != self.lineage {
            return self.other_lineage(now, probe, source, server, head, out);
        }
        if self.state == State::Repairing {
            return if source == Source::Any {
                Verdict::AskPrimary
            } else {
                self.repair(Some(head.lineage), out)
            };
        }
        if source == Source::Any {
            return self.weigh_copy(probe, server, head);
        }
        if self.rules.hold(Rule::IdentityAndChain) {
            if head.seq < probe.seen || self.contradicts(head.seq, head.id) {
                return self.fork(head.lineage, out);
            }
            if server != self.server {
                return self.other_server(server, head, out);
            }
        }
        if head.seq < probe.seen && self.rules.hold(Rule::SeenCheck) {
            return Verdict::Restart;
        }
        self.hear_of(head);
        let sent = if self.rules.hold(Rule::LeaseFromSendTime) {
            probe.sent
        } else {
            now
        };
        self.pend(head.seq, sent);
        if self.proves_history(head) {
            self.state = State::Live;
        }
        self.settle();
        // Over the bus's own connection everything up to the head has been delivered, or it never will be.
        if source == Source::Bus && (self.state == State::Verifying || head.seq > self.cursor) {
            self.demand_replay(out);
        }
        if self.state == State::Verifying {
            // What this server says may belong to another history.
            return Verdict::Restart;
        }
        Self::admit(head)
    }

    /// An event came.
    pub fn on_event(&mut self, event: WireEvent, out: &mut Vec<Effect>) {
        if self.state == State::New || self.past.contains(&event.lineage) {
            return;
        }
        if event.lineage != self.lineage {
            out.push(Effect::Ask);
            return;
        }
        if self.state == State::Repairing {
            return;
        }
        if self.contradicts(event.seq, event.id) && self.rules.hold(Rule::IdentityAndChain) {
            self.fork(event.lineage, out);
            return;
        }
        if event.seq <= self.cursor || self.early.contains_key(&event.seq) {
            self.tally.duplicates += 1;
            return;
        }
        self.take(event.seq, event.id, event.prev, event.op, out);
        self.advance(out);
        self.settle();
        if self.early.len() > EARLY {
            self.abandon_hole(out);
        }
        if !self.early.is_empty() {
            self.demand_replay(out);
        }
    }

    /// The log was read.
    pub fn replayed(&mut self, now: Moment, probe: &Probe, replay: Replay, out: &mut Vec<Effect>) {
        if self.rules.hold(Rule::GenerationCheck) && probe.era != self.era {
            // Another replay may be under way by now: that one counts.
            return;
        }
        self.replaying = false;
        if now.since(probe.sent) > self.deadline || !matches!(self.state, State::Live | State::Verifying) {
            return;
        }
        let Some(head) = replay.head.filter(|head| head.lineage == self.lineage) else {
            self.observe(now, probe, Source::Bus, replay.server, replay.head, out);
            return;
        };
        if self.rules.hold(Rule::IdentityAndChain) {
            let rewritten = self.contradicts(head.seq, head.id)
                || replay
                    .entries
                    .iter()
                    .any(|entry| self.contradicts(entry.seq, entry.id));
            if rewritten || head.seq < probe.seen {
                self.fork(head.lineage, out);
                return;
            }
            if replay.server != self.server {
                self.other_server(replay.server, head, out);
                return;
            }
        }
        self.tally.replays += 1;
        // The cursor may have moved on since the log was asked for.
        if replay.entries.iter().any(|entry| entry.seq == self.cursor) {
            self.catch_up(replay.entries, out);
        } else if head.seq > self.cursor {
            self.skip_to(head, out);
        }
        self.settle();
    }

    /// A replay that was asked for under `probe` failed; it may be asked for again. One from before a flush is void: another
    /// may be under way by now.
    pub const fn replay_failed(&mut self, probe: &Probe) {
        if probe.era == self.era {
            self.replaying = false;
        }
    }

    /// An adoption was answered or failed; another may be asked for.
    pub const fn adoption_ended(&mut self) {
        self.adopting = false;
    }

    /// Events of this shard were dropped before they came here: everything is dropped at once, and the log is read so
    /// that subscribers still hear of what the log kept.
    pub fn lagged(&mut self, out: &mut Vec<Effect>) {
        self.flush();
        self.demand_replay(out);
    }

    /// Subscribed anew: the heads that come next tell what was missed.
    pub const fn resubscribed(&mut self) {
        self.replaying = false;
        self.adopting = false;
    }

    fn other_lineage(
        &mut self,
        now: Moment,
        probe: &Probe,
        source: Source,
        server: ServerId,
        head: Head,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        if source == Source::Any {
            return Verdict::AskPrimary;
        }
        if self.past.contains(&head.lineage) {
            // The server lost the repair itself: repair once more.
            return self.fork(head.lineage, out);
        }
        let first_contact = self.state == State::New;
        if first_contact {
            // Questions from before are void: one that found no head would have the shard repaired for nothing.
            self.era += 1;
        } else {
            self.past.push_front(self.lineage);
            self.past.truncate(PAST);
            self.tally.lineages += 1;
            self.flush();
            out.push(Effect::Missed);
        }
        self.state = State::Live;
        self.server = server;
        self.lineage = head.lineage;
        self.known.clear();
        self.early.clear();
        self.pending.clear();
        self.seen = head.seq;
        self.flushed = Seq::ZERO;
        self.cursor = head.seq;
        self.cursor_id = head.id;
        self.remember(head.seq, head.id);
        let sent = if self.rules.hold(Rule::LeaseFromSendTime) {
            probe.sent
        } else {
            now
        };
        self.lease = sent + self.lease_span;
        self.replaying = false;
        self.adopting = false;
        if first_contact {
            Verdict::Admit { as_of: head.seq }
        } else {
            Verdict::Restart
        }
    }

    fn other_server(&mut self, server: ServerId, head: Head, out: &mut Vec<Effect>) -> Verdict {
        self.server = server;
        self.tally.servers += 1;
        // Answers of the old server are void; entries stay until the chain says otherwise.
        self.era += 1;
        self.pending.clear();
        if self.proves_history(head) {
            self.replaying = false;
            self.state = State::Live;
        } else {
            self.state = State::Verifying;
            self.replaying = true;
            out.push(Effect::Replay { from: self.cursor });
        }
        Verdict::Restart
    }

    fn fork(&mut self, lineage: Lineage, out: &mut Vec<Effect>) -> Verdict {
        self.tally.forks += 1;
        self.repair(Some(lineage), out)
    }

    fn repair(&mut self, from: Option<Lineage>, out: &mut Vec<Effect>) -> Verdict {
        if !matches!(self.state, State::Repairing | State::New) {
            self.flush();
            out.push(Effect::Missed);
            self.state = State::Repairing;
        }
        self.lease = Moment::NEVER;
        if !self.adopting {
            self.adopting = true;
            out.push(Effect::Adopt {
                from,
                hint: self.seen,
            });
        }
        Verdict::Down
    }

    fn flush(&mut self) {
        self.tally.flushes += 1;
        self.generation += 1;
        self.flushed = self.seen;
        self.era += 1;
        self.pending.clear();
        self.replaying = false;
    }

    fn take(&mut self, seq: Seq, id: EventId, prev: EventId, op: EventOp, out: &mut Vec<Effect>) {
        self.tally.applied += 1;
        self.note(seq, id);
        if self.rules.hold(Rule::EarlyEventsAreSeen) {
            self.seen = self.seen.max(seq);
        }
        self.early.insert(seq, (id, prev));
        let unknown = op == EventOp::Unknown && self.rules.hold(Rule::UnknownFlushes);
        if unknown || op == EventOp::Flushed {
            self.flush();
        }
        out.push(Effect::Apply { seq, op });
    }

    fn advance(&mut self, out: &mut Vec<Effect>) {
        while let Some(entry) = self.early.first_entry() {
            if *entry.key() <= self.cursor {
                entry.remove();
                continue;
            }
            if *entry.key() != self.cursor.next() {
                if !self.rules.hold(Rule::GapRepair) {
                    let (seq, (id, _)) = (*entry.key(), entry.remove());
                    self.cursor = seq;
                    self.cursor_id = id;
                    continue;
                }
                return;
            }
            let (seq, (id, prev)) = (*entry.key(), entry.remove());
            if prev != self.cursor_id && self.rules.hold(Rule::IdentityAndChain) {
                self.fork(self.lineage, out);
                return;
            }
            self.cursor = seq;
            self.cursor_id = id;
            self.seen = self.seen.max(seq);
        }
    }

    fn catch_up(&mut self, entries: Vec<LogEntry>, out: &mut Vec<Effect>) {
        let mut prev = self.cursor_id;
        for entry in entries {
            if entry.seq > self.cursor && !self.early.contains_key(&entry.seq) {
                self.take(entry.seq, entry.id, prev, entry.op, out);
            }
            prev = entry.id;
        }
        self.state = State::Live;
        self.advance(out);
    }

    fn skip_to(&mut self, head: Head, out: &mut Vec<Effect>) {
        self.remember(head.seq, head.id);
        self.flush();
        out.push(Effect::Missed);
        self.state = State::Live;
        self.cursor = head.seq;
        self.cursor_id = head.id;
        self.advance(out);
    }

    fn abandon_hole(&mut self, out: &mut Vec<Effect>) {
        if let Some((seq, (id, _))) = self.early.pop_last() {
            self.flush();
            out.push(Effect::Missed);
            self.early.clear();
            self.cursor = seq;
            self.cursor_id = id;
        }
    }

    fn demand_replay(&mut self, out: &mut Vec<Effect>) {
        let following = matches!(self.state, State::Live | State::Verifying);
        if following && !self.replaying && self.rules.hold(Rule::GapRepair) {
            self.tally.gaps += 1;
            self.replaying = true;
            out.push(Effect::Replay { from: self.cursor });
        }
    }

    /// A copy that may lag. It is believed if it is our server's own, or if its head alone shows our history: a copy
    /// of a server unknown to us may hold other events under the same numbers.
    fn weigh_copy(&mut self, probe: &Probe, server: ServerId, head: Head) -> Verdict {
        let fresh = head.seq >= probe.seen || !self.rules.hold(Rule::SeenCheck);
        let ours = server == self.server || self.proves_history(head);
        let chained = ours && !self.contradicts(head.seq, head.id);
        if self.state != State::Live || !fresh || (!chained && self.rules.hold(Rule::IdentityAndChain)) {
            return Verdict::AskPrimary;
        }
        self.hear_of(head);
        Self::admit(head)
    }

    /// Whether this head alone shows that the server has our history: all that is known to exist, and no more.
    fn proves_history(&self, head: Head) -> bool {
        head.seq == self.cursor && head.id == self.cursor_id && self.seen == self.cursor
    }

    /// Whether another event is known under this number.
    fn contradicts(&self, seq: Seq, id: EventId) -> bool {
        self.known.get(&seq).is_some_and(|known| *known != id) || (seq == self.cursor && id != self.cursor_id)
    }

    /// An answer's head: it exists, whether or not its event has come.
    fn hear_of(&mut self, head: Head) {
        if self.rules.hold(Rule::AnswersAreSeen) {
            self.remember(head.seq, head.id);
        } else {
            self.note(head.seq, head.id);
        }
    }

    fn remember(&mut self, seq: Seq, id: EventId) {
        self.seen = self.seen.max(seq);
        self.note(seq, id);
    }

    fn note(&mut self, seq: Seq, id: EventId) {
        self.known.insert(seq, id);
        while self.known.len() > KNOWN {
            self.known.pop_first();
        }
    }

    const fn admit(head: Head) -> Verdict {
        Verdict::Admit { as_of: head.seq }
    }

    fn pend(&mut self, seq: Seq, sent: Moment) {
        self.pending.push_back((seq, sent));
        if self.pending.len() > PENDING {
            self.pending.pop_front();
        }
    }

    fn settle(&mut self) {
        if self.state != State::Live {
            return;
        }
        let gap_counts = self.rules.hold(Rule::CursorReachesHead);
        let (cursor, span) = (self.cursor, self.lease_span);
        let mut lease = self.lease;
        self.pending.retain(|(seq, sent)| {
            let reached = *seq <= cursor || !gap_counts;
            if reached {
                lease = lease.max(*sent + span);
            }
            !reached
        });
        self.lease = lease;
    }
}

#[cfg(test)]
mod tests;
