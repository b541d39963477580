//! The order of a conversation's changes: whatever comes late, twice or before its turn, each number passes once and none is left out.

use std::collections::BTreeMap;

/// How many changes wait for one that is missing. Those beyond are read again.
const WAITING: usize = 256;

/// Changes on their way, by number.
#[derive(Debug)]
pub struct Line<T> {
    /// The last number that has passed. None does before it is known where to begin.
    head: Option<i64>,
    /// The highest number that is known to be there.
    known: i64,
    waiting: BTreeMap<i64, T>,
}

impl<T> Default for Line<T> {
    fn default() -> Line<T> {
        Line { head: None, known: 0, waiting: BTreeMap::new() }
    }
}

impl<T> Line<T> {
    /// Says where to begin: behind this number. Said once; what has begun goes its way.
    pub fn begin(&mut self, head: i64) {
        if self.head.is_none() {
            self.head = Some(head);
            self.waiting = self.waiting.split_off(&(head + 1));
        }
    }

    /// A change that has come, in whatever order.
    pub fn put(&mut self, number: i64, change: T) {
        self.know(number);
        if self.head.is_some_and(|head| number <= head) || self.waiting.contains_key(&number) {
            return;
        }
        self.waiting.insert(number, change);
        if self.waiting.len() > WAITING {
            self.waiting.pop_last();
        }
    }

    /// Notes that there is a change with this number, which has not come.
    pub fn know(&mut self, number: i64) {
        self.known = self.known.max(number);
    }

    /// Notes that there is none with a higher number than this.
    pub fn know_last(&mut self, number: i64) {
        self.known = number.max(self.waiting.last_key_value().map_or(0, |(last, _)| *last));
    }

    /// The changes whose turn it is. They have passed by that.
    pub fn pass(&mut self) -> Vec<T> {
        let mut passed = Vec::new();
        let Some(head) = &mut self.head else { return passed };
        while let Some(first) = self.waiting.first_entry()
            && *first.key() == *head + 1
        {
            *head += 1;
            passed.push(first.remove());
        }
        passed
    }

    /// The number behind which something is missing: it is there, and has not come.
    pub fn missing(&self) -> Option<i64> {
        let head = self.head.filter(|head| self.known > *head)?;
        (!self.waiting.contains_key(&(head + 1))).then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(head: i64) -> Line<i64> {
        let mut line = Line::default();
        line.begin(head);
        line
    }

    fn put(line: &mut Line<i64>, numbers: &[i64]) -> Vec<i64> {
        for number in numbers {
            line.put(*number, *number);
        }
        line.pass()
    }

    #[test]
    fn g4_changes_pass_in_their_order_and_once_however_they_come() {
        let mut line = at(4);
        assert_eq!(put(&mut line, &[5]), [5]);
        assert_eq!(put(&mut line, &[5, 4, 1]), [0; 0]);
        assert_eq!(put(&mut line, &[7, 8]), [0; 0]);
        assert_eq!(line.missing(), Some(5));
        assert_eq!(put(&mut line, &[8, 6, 7]), [6, 7, 8]);
        assert_eq!((line.missing(), line.pass()), (None, Vec::new()));
    }

    #[test]
    fn g4_a_number_that_is_only_known_of_is_missing_until_it_comes() {
        let mut line = at(0);
        line.know(3);
        assert_eq!(line.missing(), Some(0));
        assert_eq!(put(&mut line, &[1, 2]), [1, 2]);
        assert_eq!(line.missing(), Some(2));
        assert_eq!(put(&mut line, &[3]), [3]);
        assert_eq!(line.missing(), None);
        line.know(2);
        assert_eq!(line.missing(), None);
        line.know(9);
        line.know_last(3);
        assert_eq!(line.missing(), None);
    }

    #[test]
    fn g4_nothing_passes_before_it_is_known_where_to_begin() {
        let mut line = Line::default();
        assert_eq!(put(&mut line, &[3, 4, 5]), [0; 0]);
        assert_eq!(line.missing(), None);
        line.begin(4);
        assert_eq!(line.pass(), [5]);
        line.begin(1);
        assert_eq!(put(&mut line, &[2, 6]), [6]);
    }

    #[test]
    fn s44_what_waits_for_a_missing_one_is_bounded_and_nothing_of_it_is_forgotten() {
        let mut line = at(0);
        let all: Vec<i64> = (2..2000).collect();
        assert_eq!(put(&mut line, &all), [0; 0]);
        assert_eq!(line.waiting.len(), WAITING);
        let passed = put(&mut line, &[1]);
        assert_eq!(passed, (1..=WAITING as i64).collect::<Vec<_>>());
        let mut head = line.missing().unwrap_or_default();
        assert!(head >= WAITING as i64);
        while let Some(behind) = line.missing() {
            let read: Vec<i64> = (behind + 1..2000).take(500).collect();
            for number in put(&mut line, &read) {
                assert_eq!(number, head + 1);
                head = number;
            }
        }
        assert_eq!(head, 1999);
    }

    #[test]
    fn g4_any_order_of_commits_and_readings_gives_every_number_once() {
        // A small generator: each round publishes a window of numbers in an order of its own, some twice, some never.
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut line, mut passed) = (at(0), Vec::new());
        for window in 0..200 {
            let mut numbers: Vec<i64> = (1..=10).map(|step| window * 10 + step).collect();
            for place in (1..numbers.len()).rev() {
                numbers.swap(place, random(place as u64 + 1) as usize);
            }
            for number in numbers {
                match random(10) {
                    0 => line.know(number),
                    1 => (0..2).for_each(|_| line.put(number, number)),
                    _ => line.put(number, number),
                }
                passed.extend(line.pass());
                if random(8) == 0
                    && let Some(behind) = line.missing()
                {
                    (behind + 1..=line.known).for_each(|number| line.put(number, number));
                    passed.extend(line.pass());
                }
            }
        }
        while let Some(behind) = line.missing() {
            (behind + 1..=line.known).for_each(|number| line.put(number, number));
            passed.extend(line.pass());
        }
        assert_eq!(passed, (1..=2000).collect::<Vec<_>>());
    }
}
