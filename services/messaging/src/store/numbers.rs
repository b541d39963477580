//! Numbers of messages or changes that a statement asks for.

use diesel::dsl::{And, Between, EqAny};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

/// The condition that [`among`] makes.
type Among<C> = And<EqAny<C, Vec<i64>>, Between<C, i64, i64>, Bool>;

/// A column has one of these numbers, and lies between the least and the greatest of them. Who asks for rows of a conversation by a list of
/// numbers asks for that, too: where most conversations are small, PostgreSQL takes each for small, and reads a large one whole rather than by
/// its numbers.
pub fn among<'a, C>(column: C, numbers: impl IntoIterator<Item = &'a i64>) -> Among<C>
where
    C: Expression<SqlType = BigInt> + Copy,
{
    let numbers: Vec<i64> = numbers.into_iter().copied().collect();
    let (first, last) = ends(&numbers);
    column.eq_any(numbers).and(column.between(first, last))
}

/// The least and the greatest of some numbers; of none there is nothing between them.
fn ends(numbers: &[i64]) -> (i64, i64) {
    let wider = |(first, last): (i64, i64), number: &i64| (first.min(*number), last.max(*number));
    numbers.iter().fold((i64::MAX, i64::MIN), wider)
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
