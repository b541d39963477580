//! What is printed: tables as they come, and at the end what was to be reached.

/// Collects goals on the way.
#[derive(Default)]
pub struct Report {
    goals: Vec<Goal>,
}

struct Goal {
    what: String,
    reached: f64,
    bound: Bound,
}

/// What a figure is held against.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
        }
    }
}

impl Report {
    #[expect(clippy::unused_self, reason = "a report may go elsewhere one day")]
    pub fn say(&self, text: &str) {
        println!("{text}");
    }

    /// Prints rows under a heading, columns aligned: the first to the left, figures to the right.
    pub fn table(&self, columns: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(columns.get(column).map(|name| name.chars().count())).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            self.say(format!("| {} |", cells.collect::<Vec<_>>().join(" | ")).as_str());
        };
        line(columns.to_vec());
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        line(rules.iter().map(String::as_str).collect());
        for row in rows {
            line(row.iter().map(String::as_str).collect());
        }
        self.say("");
    }

    /// Notes a figure that has a goal.
    pub fn goal(&mut self, what: impl Into<String>, reached: f64, bound: Bound) {
        self.goals.push(Goal { what: what.into(), reached, bound });
    }

    /// Prints what was reached and what was not.
    pub fn conclude(&self) {
        if self.goals.is_empty() {
            return;
        }
        self.say("\n## goals");
        let row = |goal: &Goal| {
            let bound = match goal.bound {
                Bound::AtLeast(bound) => format!("≥ {}", figure(bound)),
                Bound::AtMost(bound) => format!("≤ {}", figure(bound)),
            };
            let verdict = if goal.bound.holds(goal.reached) { "reached" } else { "MISSED" };
            vec![goal.what.clone(), figure(goal.reached), bound, verdict.to_owned()]
        };
        let rows: Vec<_> = self.goals.iter().map(row).collect();
        self.table(&["goal", "measured", "bound", ""], &rows);
        let missed = self.goals.iter().filter(|goal| !goal.bound.holds(goal.reached)).count();
        self.say(&format!("{} of {} reached", self.goals.len() - missed, self.goals.len()));
    }
}

/// A number with as many digits as tell something.
pub fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => grouped(value),
        some if some >= 100.0 => format!("{value:.0}"),
        some if some >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        small if small < 0.01 => format!("{value:.4}"),
        _ => format!("{value:.2}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle of some values; of an even number the upper one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
