//! Tells the watchers of this process that something has happened in a project.

use std::sync::Arc;

use quartet_chassis::id::Id;
use tokio::sync::Notify;

use super::Store;

/// How many bells there are: so much fewer watchers look up for a project that is not theirs.
const BELLS: usize = 64;

/// A bell for each project; a few share one.
#[derive(Clone)]
pub struct Bells(Arc<Vec<Notify>>);

impl Default for Bells {
    fn default() -> Bells {
        Bells(Arc::new((0..BELLS).map(|_| Notify::new()).collect()))
    }
}

impl Bells {
    /// To be rung behind the commit: whoever looks up finds what has happened.
    pub fn ring(&self, project_id: Id) {
        self.of(project_id).notify_waiters();
    }

    /// Rings whenever something has happened in the project, and now and then for others.
    pub fn of(&self, project_id: Id) -> &Notify {
        // The end of an id is random.
        &self.0[usize::from(project_id.as_bytes()[15]) % BELLS]
    }
}

impl Store {
    /// Rings when something has happened in the project.
    pub fn bell(&self, project_id: Id) -> &Notify {
        self.bells.of(project_id)
    }
}
