//! What is wrong with the settings, all of it.

use std::fmt;

/// Mistakes in settings, each named once.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// Notes a mistake. Names the setting, and never a secret's value.
    pub fn add(&mut self, mistake: impl Into<String>) {
        let mistake = mistake.into();
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    /// Notes a variable that is no setting, with the one that was probably meant.
    pub(super) fn unknown(&mut self, name: &str, known: &[String]) {
        let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(name, known));
        let hint = nearest.map(|nearest| format!("; the nearest is `{nearest}`")).unwrap_or_default();
        self.add(format!("`{name}` is not a setting{hint}"));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn list(&self) -> &[String] {
        &self.0
    }

    /// Whether something was noted against the setting of this name.
    pub fn concern(&self, name: &str) -> bool {
        let name = format!("`{name}`");
        self.0.iter().any(|mistake| mistake.starts_with(&name))
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "one setting is wrong:")?,
            count => write!(f, "{count} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}
