//! Whose turn it is with an upload in this process: one call at a time writes to one. Between processes there are leases, see `store::lease`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use quartet_chassis::id::Id;

/// The uploads that somebody of this process writes to.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashSet<Id>>>);

/// A turn. It ends when it is dropped.
pub struct Turn {
    id: Id,
    turns: Turns,
}

impl Turns {
    /// The turn, unless somebody has it.
    pub fn take(&self, id: Id) -> Option<Turn> {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        free.then(|| Turn { id, turns: self.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s55_one_at_a_time_has_the_turn() {
        let (turns, [a, b]) = (Turns::default(), [Id::NIL, Id::MAX]);
        let turn = turns.take(a);
        assert!(turn.is_some() && turns.take(a).is_none() && turns.take(b).is_some());
        drop(turn);
        assert!(turns.take(a).is_some());
    }
}
