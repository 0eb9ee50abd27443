//! Whether every idempotency key was decided once.
//!
//! It looks at one retention period: over a longer history a key may rightly be decided again.

use std::collections::HashMap;

use super::{History, Operation, Violation};
use crate::{BookingOutcome, IdempotencyKey, RequestHash, UserId};

/// Checks that under each key one request was decided once, that its repeats were answered with that decision,
/// and other requests under that key with `IdempotencyMismatch`.
///
/// # Errors
/// At the first key that was decided twice, or answered in two ways.
pub fn one_outcome_per_key(history: &History) -> Result<(), Violation> {
    let mut keys: HashMap<(UserId, IdempotencyKey), Vec<(RequestHash, &Operation)>> = HashMap::new();
    for operation in history.iter().filter(|operation| operation.answer.is_some()) {
        if let Some((user, key, hash)) = operation.call.identity() {
            keys.entry((user, key)).or_default().push((hash, operation));
        }
    }
    keys.iter().try_for_each(|((user, key), operations)| {
        let found = fault(operations);
        found.map_or(Ok(()), |fault| {
            let evidence = format!("key {key} of {user} {fault}");
            Err(Violation {
                check: "one outcome per key",
                evidence,
            })
        })
    })
}

fn fault(operations: &[(RequestHash, &Operation)]) -> Option<String> {
    let outcomes = || {
        operations
            .iter()
            .filter_map(|(hash, operation)| Some((hash, operation.outcome()?)))
    };
    let decided: Vec<_> = outcomes()
        .filter(|(_, outcome)| **outcome != BookingOutcome::IdempotencyMismatch)
        .collect();
    let first = decided.first()?;
    if decided.iter().any(|(hash, _)| *hash != first.0) {
        return Some("was decided for two different requests".to_owned());
    }
    let afresh = decided
        .iter()
        .filter(|(_, outcome)| !matches!(outcome, BookingOutcome::Replay(_)))
        .count();
    if afresh > 1 {
        return Some(format!("was decided {afresh} times"));
    }
    let other = decided
        .iter()
        .find(|(_, outcome)| outcome.decision() != first.1.decision());
    if let Some((_, other)) = other {
        return Some(format!(
            "was answered {:?} and {:?}",
            first.1.decision(),
            other.decision()
        ));
    }
    let refused =
        outcomes().any(|(hash, outcome)| hash == first.0 && *outcome == BookingOutcome::IdempotencyMismatch);
    refused.then(|| "refused a repeat of the request it was decided for".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::history::{Answer, Call};
    use super::*;
    use crate::{BookingId, CancelRequest, Fence, StoreTime};

    fn asked(id: &str, outcome: BookingOutcome) -> Operation {
        let at = StoreTime::from_millis(0);
        let request = CancelRequest {
            user: UserId::new("ada").unwrap(),
            key: IdempotencyKey::new("k").unwrap(),
            id: BookingId::new(id).unwrap(),
            fence: Fence(1),
        };
        let answer = Some(Answer {
            outcome,
            ended: 1,
            latest: at,
        });
        Operation {
            call: Call::Cancel(request),
            began: 0,
            earliest: at,
            answer,
        }
    }

    fn won() -> BookingOutcome {
        BookingOutcome::Won {
            id: BookingId::new("b").unwrap(),
            fence: Fence(1),
        }
    }

    fn evidence(history: History) -> String {
        one_outcome_per_key(&history).unwrap_err().evidence
    }

    #[test]
    fn a_decision_its_replays_and_refused_others_are_in_order() {
        let replay = BookingOutcome::Replay(Box::new(won()));
        let mismatch = BookingOutcome::IdempotencyMismatch;
        let history = vec![
            asked("b", won()),
            asked("b", replay.clone()),
            asked("b", replay),
            asked("c", mismatch),
        ];
        assert_eq!(one_outcome_per_key(&history), Ok(()));
    }

    #[test]
    fn every_way_to_break_a_key_is_found() {
        let gone = BookingOutcome::Gone;
        assert!(evidence(vec![asked("b", won()), asked("b", won())]).contains("decided 2 times"));
        assert!(
            evidence(vec![asked("b", won()), asked("c", gone.clone())]).contains("two different requests")
        );
        let other = BookingOutcome::Replay(Box::new(gone));
        assert!(evidence(vec![asked("b", won()), asked("b", other)]).contains("was answered Won"));
        let refused = vec![asked("b", won()), asked("b", BookingOutcome::IdempotencyMismatch)];
        assert!(evidence(refused).contains("refused a repeat"));
    }
}
