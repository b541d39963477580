//! Numbers of messages or changes that a statement asks for.

/// The least and the greatest of some numbers. Who asks for rows of a conversation by a list of numbers asks for what lies between these, too:
/// where most conversations are small, PostgreSQL takes each for small, and reads a large one whole rather than by its numbers.
pub fn ends<'a>(numbers: impl IntoIterator<Item = &'a i64>) -> (i64, i64) {
    let wider = |(first, last): (i64, i64), number: &i64| (first.min(*number), last.max(*number));
    numbers.into_iter().fold((i64::MAX, i64::MIN), wider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g5_between_the_ends_lie_all_numbers_and_of_none_nothing() {
        assert_eq!(ends(&[7, 3, 5]), (3, 7));
        let (first, last) = ends(&[]);
        assert!((first..=last).is_empty());
    }
}
