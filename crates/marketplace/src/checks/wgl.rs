//! The search for an order of operations that a sequential model accepts: Wing and Gong's, with Lowe's memory of
//! states that were tried.
//!
//! It knows nothing of bookings, and other histories are held against other models. In the worst case it takes time exponential in the number of operations that
//! overlap; operations that only read are taken at once and cost nothing.

use std::collections::HashSet;
use std::hash::Hash;

/// One operation of a history: the model's input and when it was under way.
pub struct Span<Op> {
    /// What was done, with what came back.
    pub op: Op,
    /// When it began; ticks have no unit.
    pub began: u64,
    /// When it was over. `None` for an operation that stayed open: it may take effect any time later, or never.
    pub ended: Option<u64>,
}

/// What the operations are held against.
pub trait Model {
    /// An operation with its answer.
    type Op;
    /// What is remembered between operations.
    type State: Clone + Eq + Hash;

    /// Before the first operation.
    fn initial(&self) -> Self::State;

    /// Every state the operation, answered as it was, may lead to; none when it cannot have been answered so.
    fn after(&self, state: &Self::State, op: &Self::Op) -> Vec<Self::State>;

    /// Whether the operation, answered as it was, leaves every state as it is. One that happens to change nothing now, as a write
    /// of what is there already, is none: another order may need it later.
    fn reads(&self, op: &Self::Op) -> bool;
}

/// Looks for an order that respects what was over before what began, and that `model` accepts.
///
/// ```
/// use marketplace::checks::wgl::{Model, Span, order};
///
/// struct Register;
/// enum Access { Write(u8), Read(u8) }
///
/// impl Model for Register {
///     type Op = Access;
///     type State = u8;
///     fn initial(&self) -> u8 { 0 }
///     fn after(&self, state: &u8, op: &Access) -> Vec<u8> {
///         match op {
///             Access::Write(value) => vec![*value],
///             Access::Read(value) => (value == state).then_some(*state).into_iter().collect(),
///         }
///     }
///     fn reads(&self, op: &Access) -> bool { matches!(op, Access::Read(_)) }
/// }
///
/// let overwritten = Span { op: Access::Write(1), began: 0, ended: Some(1) };
/// let late = Span { op: Access::Read(0), began: 2, ended: Some(3) };
/// assert_eq!(order(&Register, &[overwritten, late]), Err(vec![1]));
/// ```
///
/// # Errors
/// Where there is none: the indices of operations that could not be fitted in on the way that came furthest.
pub fn order<M: Model>(model: &M, spans: &[Span<M::Op>]) -> Result<(), Vec<usize>> {
    let mut by_start: Vec<usize> = (0..spans.len()).collect();
    by_start.sort_by_key(|index| spans[*index].began);
    let needed = spans.iter().filter(|span| span.ended.is_some()).count();
    let mut tried = HashSet::new();
    let mut pending = vec![Node {
        done: Done::none(spans.len()),
        state: model.initial(),
    }];
    let mut furthest: Option<Done> = None;

    while let Some(mut node) = pending.pop() {
        take_reads(model, spans, &by_start, &mut node);
        if node.done.ended == needed {
            return Ok(());
        }
        if !tried.insert((node.done.bits.clone(), node.state.clone())) {
            continue;
        }
        if furthest.as_ref().is_none_or(|done| done.ended < node.done.ended) {
            furthest = Some(node.done.clone());
        }
        // The last pushed is tried first: answered operations, in the order they began, before open ones.
        let (answered, open): (Vec<usize>, Vec<usize>) = node
            .done
            .next(spans, &by_start)
            .into_iter()
            .partition(|index| spans[*index].ended.is_some());
        for index in open.into_iter().rev().chain(answered.into_iter().rev()) {
            for state in model.after(&node.state, &spans[index].op) {
                pending.push(Node {
                    done: node.done.with(index, spans),
                    state,
                });
            }
        }
    }
    Err(furthest.map_or_else(Vec::new, |done| done.next(spans, &by_start)))
}

/// Takes every answered operation that only reads, may come next and fits the state. Taken now or later, it stands in
/// nobody's way, so no other order needs to be tried.
fn take_reads<M: Model>(model: &M, spans: &[Span<M::Op>], by_start: &[usize], node: &mut Node<M::State>) {
    loop {
        let reads: Vec<usize> = node.done.next(spans, by_start);
        let mut reads = reads.into_iter().filter(|index| {
            spans[*index].ended.is_some()
                && model.reads(&spans[*index].op)
                && model.after(&node.state, &spans[*index].op) == [node.state.clone()]
        });
        let Some(first) = reads.next() else { return };
        let reads: Vec<usize> = std::iter::once(first).chain(reads).collect();
        for index in reads {
            node.done = node.done.with(index, spans);
        }
    }
}

struct Node<State> {
    done: Done,
    state: State,
}

/// The operations already put in order.
#[derive(Clone)]
struct Done {
    bits: Vec<u64>,
    /// How many of them were answered.
    ended: usize,
}

impl Done {
    fn none(operations: usize) -> Self {
        Self {
            bits: vec![0; operations.div_ceil(64)],
            ended: 0,
        }
    }

    fn holds(&self, index: usize) -> bool {
        self.bits[index / 64] & (1 << (index % 64)) != 0
    }

    fn with<Op>(&self, index: usize, spans: &[Span<Op>]) -> Self {
        let mut done = self.clone();
        done.bits[index / 64] |= 1 << (index % 64);
        done.ended += usize::from(spans[index].ended.is_some());
        done
    }

    /// Operations that may come next: those that began before any other that is left was over.
    fn next<Op>(&self, spans: &[Span<Op>], by_start: &[usize]) -> Vec<usize> {
        let mut first_end = u64::MAX;
        let mut next = Vec::new();
        for index in by_start.iter().copied().filter(|index| !self.holds(*index)) {
            if spans[index].began > first_end {
                break;
            }
            first_end = first_end.min(spans[index].ended.unwrap_or(u64::MAX));
            next.push(index);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register: the classic example.
    struct Register;

    enum Access {
        Write(u8),
        Read(u8),
    }

    impl Model for Register {
        type Op = Access;
        type State = u8;

        fn initial(&self) -> u8 {
            0
        }

        fn after(&self, state: &u8, op: &Access) -> Vec<u8> {
            match op {
                Access::Write(value) => vec![*value],
                Access::Read(value) if value == state => vec![*state],
                Access::Read(_) => vec![],
            }
        }

        fn reads(&self, op: &Access) -> bool {
            matches!(op, Access::Read(_))
        }
    }

    fn span(op: Access, began: u64, ended: u64) -> Span<Access> {
        Span {
            op,
            began,
            ended: Some(ended),
        }
    }

    #[test]
    fn overlapping_accesses_may_be_reordered() {
        let history = [
            span(Access::Write(1), 0, 9),
            span(Access::Read(1), 1, 2),
            span(Access::Write(2), 3, 4),
            span(Access::Read(2), 5, 6),
        ];
        assert_eq!(order(&Register, &history), Ok(()));
    }

    #[test]
    fn a_read_of_what_was_overwritten_before_it_began_is_found() {
        let history = [
            span(Access::Write(1), 0, 1),
            span(Access::Write(2), 2, 3),
            span(Access::Read(1), 4, 5),
        ];
        assert_eq!(order(&Register, &history), Err(vec![2]));
    }

    #[test]
    fn an_open_write_may_take_effect_late_or_never() {
        let open = || Span {
            op: Access::Write(7),
            began: 0,
            ended: None,
        };
        let late = [open(), span(Access::Read(0), 1, 2), span(Access::Read(7), 3, 4)];
        assert_eq!(order(&Register, &late), Ok(()));
        assert_eq!(order(&Register, &[open(), span(Access::Read(0), 1, 2)]), Ok(()));
        let undone = [open(), span(Access::Read(7), 1, 2), span(Access::Read(0), 3, 4)];
        assert!(order(&Register, &undone).is_err());
    }

    #[test]
    fn a_write_that_changes_nothing_at_first_may_be_needed_later() {
        let history = [
            span(Access::Write(0), 0, 9),
            span(Access::Write(1), 1, 2),
            span(Access::Read(0), 3, 4),
        ];
        assert_eq!(order(&Register, &history), Ok(()));
    }

    #[test]
    fn a_hundred_overlapping_reads_are_settled_at_once() {
        let mut history: Vec<_> = (0..100).map(|n| span(Access::Read(1), n, 1000 + n)).collect();
        history.push(span(Access::Write(1), 500, 600));
        assert_eq!(order(&Register, &history), Ok(()));
        history.push(span(Access::Read(3), 700, 800));
        assert!(order(&Register, &history).is_err());
    }
}
