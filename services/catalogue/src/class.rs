//! A class as it is asked for: part by part, in the order of names.

use quartet_chassis::failure::Fields;
use quartet_chassis::fold;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use serde::{Deserialize, Serialize};

/// How many cells a part of a gradebook has at most, a cell being a student's work in a block: so it fits into a message with the titles
/// of all blocks, and a class with many blocks is read by a few students at a time.
const CELLS: usize = 20_000;

/// The students behind (`name`, `id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassList {
    /// As a class is ordered by; empty in front of all.
    pub name: String,
    pub id: Id,
    pub size: i64,
    /// How many there are in all, if they were counted for a part before.
    pub total: Option<i64>,
    course_id: String,
}

#[derive(Serialize, Deserialize)]
struct Token {
    course: String,
    name: String,
    id: String,
    total: Option<i64>,
}

impl ClassList {
    /// Reads the fields that every list of students has.
    pub fn parse(course_id: &str, page_size: i32, page_token: &str) -> Result<ClassList, Fields> {
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let after = fields.take("page_token", decode(page_token, course_id));
        let (Some(size), Some(after)) = (size, after) else { return Err(fields) };
        let (name, id, total) = after.unwrap_or_else(|| (String::new(), Id::NIL, None));
        Ok(ClassList { name, id, size, total, course_id: course_id.to_owned() })
    }

    /// The part behind a student.
    pub fn behind(&self, name: &str, id: Id) -> ClassList {
        ClassList { name: name.to_owned(), id, ..self.clone() }
    }

    /// Where it begins, as a page token.
    pub fn token(&self) -> String {
        let (course, name) = (self.course_id.clone(), self.name.clone());
        page::encode(&Token { course, name, id: self.id.to_string(), total: self.total })
    }

    /// How many students there are in a part with so many blocks: at least one.
    pub fn rows(&self, blocks: usize) -> i64 {
        let room = CELLS / blocks.max(1);
        self.size.min(i64::try_from(room).unwrap_or(i64::MAX)).max(1)
    }
}

type After = Option<(String, Id, Option<i64>)>;

fn decode(token: &str, course_id: &str) -> Result<After, &'static str> {
    let Some(Token { course, name, id, total }) = page::decode(token)? else { return Ok(None) };
    let sound = name.len() <= 4 * fold::LENGTH && !name.contains('\0') && total.is_none_or(|total| total >= 0);
    if course != course_id || !sound {
        return Err(page::NOT_A_TOKEN);
    }
    id.parse().map(|id| Some((name, id, total))).map_err(|_| page::NOT_A_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(course: &str, token: &str) -> Option<ClassList> {
        ClassList::parse(course, 100, token).ok()
    }

    #[test]
    fn k7_a_class_goes_on_behind_its_token_and_is_counted_once() {
        let Some(first) = parsed("one", "") else { panic!("refused") };
        assert_eq!((first.name.as_str(), first.total), ("", None));
        let next = ClassList { total: Some(7), ..first.behind("ada", Id::from_bytes([7; 16])) };
        assert_eq!(parsed("one", &next.token()), Some(next));
    }

    #[test]
    fn s35_a_token_of_another_class_or_none_is_refused() {
        let Some(list) = parsed("one", "") else { panic!("refused") };
        assert_eq!(parsed("two", &list.token()), None);
        assert_eq!(parsed("one", &list.behind("a\0", Id::from_bytes([7; 16])).token()), None);
        assert_eq!(parsed("one", &ClassList { total: Some(-1), ..list }.token()), None);
        assert_eq!(parsed("one", "garbage"), None);
    }

    #[test]
    fn s40_a_part_of_a_class_with_many_blocks_is_a_short_one() {
        let Some(list) = parsed("one", "") else { panic!("refused") };
        assert_eq!([0, 1, 200, 201, 1_000, 1_000_000].map(|blocks| list.rows(blocks)), [100, 100, 100, 99, 20, 1]);
    }
}
