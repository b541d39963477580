//! How far a student is. It is derived from what they have handed in and what teachers have said, and kept nowhere.

use std::collections::HashMap;

use quartet_chassis::clock::Time;
use quartet_chassis::id::Id;

use crate::grading::percent;

/// What there is of a student's work in a block.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Work {
    /// Since when it is handed in.
    pub handed_in: Option<Time>,
    /// The points of the best try of a quiz, and how many there were to have.
    pub best: Option<(i32, i32)>,
    /// When a try first passed.
    pub passed: Option<Time>,
    /// The newest grade of a teacher's.
    pub grade: Option<i32>,
}

impl Work {
    /// When the block was done, if it is: handed in, or passed.
    pub fn complete_time(&self) -> Option<Time> {
        self.handed_in.or(self.passed)
    }

    /// The grade that counts: a teacher's before that of the best try.
    pub fn grade(&self) -> Option<i32> {
        self.grade.or_else(|| self.best.map(|(points, max)| percent(points, max)))
    }
}

/// What a teacher has said about the completion of a course.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    pub completed: bool,
    pub reason: String,
    /// None when their account is gone.
    pub teacher_id: Option<Id>,
    pub time: Time,
}

/// How far a student is in a course.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub completed_blocks: usize,
    pub total_blocks: usize,
    pub completed: bool,
    pub said: Option<Override>,
    pub average_grade: Option<f64>,
}

/// A student's work by block.
pub type Works = HashMap<Id, Work>;

/// How far somebody with this work is in a course of these blocks, the published ones. Work in others does not count.
pub fn progress(blocks: &[Id], works: &Works, said: Option<Override>) -> Progress {
    let own: Vec<&Work> = blocks.iter().filter_map(|block| works.get(block)).collect();
    let completed_blocks = own.iter().filter(|work| work.complete_time().is_some()).count();
    let grades: Vec<i32> = own.iter().filter_map(|work| work.grade()).collect();
    let all = !blocks.is_empty() && completed_blocks == blocks.len();
    Progress {
        completed_blocks,
        total_blocks: blocks.len(),
        completed: said.as_ref().map_or(all, |said| said.completed),
        said,
        average_grade: average(&grades),
    }
}

fn average(grades: &[i32]) -> Option<f64> {
    let sum: i32 = grades.iter().sum();
    let count = u32::try_from(grades.len()).ok().filter(|count| *count > 0)?;
    Some(f64::from(sum) / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    fn time() -> Option<Time> {
        chrono::DateTime::from_timestamp(1_700_000_000, 0).map(|time| time.naive_utc())
    }

    fn done() -> Work {
        Work { handed_in: time(), ..Work::default() }
    }

    fn said(completed: bool) -> Option<Override> {
        time().map(|time| Override { completed, reason: "seen in class".to_owned(), teacher_id: None, time })
    }

    #[test]
    fn x20_a_course_is_done_when_every_published_block_is() {
        let mut works = Works::from([(id(1), done()), (id(9), done())]);
        let blocks = [id(1), id(2)];
        let far = progress(&blocks, &works, None);
        assert_eq!((far.completed_blocks, far.total_blocks, far.completed), (1, 2, false));
        works.insert(id(2), Work { passed: time(), ..Work::default() });
        let far = progress(&blocks, &works, None);
        assert_eq!((far.completed_blocks, far.completed), (2, true));
        assert!(!progress(&[], &works, None).completed, "a course without blocks is done by nobody");
    }

    #[test]
    fn x20_a_teacher_says_otherwise() {
        let works = Works::from([(id(1), done())]);
        assert!(!progress(&[id(1)], &works, said(false)).completed);
        assert!(progress(&[id(1), id(2)], &works, said(true)).completed);
        assert!(progress(&[], &works, said(true)).completed);
    }

    #[test]
    fn k8_the_average_is_of_the_grades_that_count() {
        let graded = |grade, best| Work { grade, best, ..Work::default() };
        let works = Works::from([
            (id(1), graded(Some(80), Some((1, 2)))),
            (id(2), graded(None, Some((2, 3)))),
            (id(3), graded(None, None)),
            (id(4), graded(Some(0), None)),
        ]);
        let far = progress(&[id(1), id(2), id(3), id(5)], &works, None);
        assert_eq!((far.average_grade, far.completed_blocks), (Some(73.5), 0));
        assert_eq!(progress(&[id(3)], &works, None).average_grade, None);
        assert_eq!(progress(&[id(4)], &works, None).average_grade, Some(0.0));
    }
}
