//! Who may do what in a course. The course's own lists decide; of the roles only two reach into courses of others.

use quartet_chassis::caller::Caller;
use quartet_chassis::id::Id;
use quartet_proto::catalogue::v1::PublicationState;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// None for somebody who has not signed in.
    pub account_id: Option<Id>,
    pub admin: bool,
    pub moderator: bool,
}

impl Asker {
    pub fn of(caller: Option<&Caller>) -> Asker {
        let has = |role: &str| caller.is_some_and(|caller| caller.roles.iter().any(|own| own == role));
        Asker { account_id: caller.map(|caller| caller.account_id), admin: has("admin"), moderator: has("moderator") }
    }

    pub fn is(&self, account_id: Id) -> bool {
        self.account_id == Some(account_id)
    }
}

impl From<&Caller> for Asker {
    fn from(caller: &Caller) -> Asker {
        Asker::of(Some(caller))
    }
}

/// What somebody may do in a course; each may do what those before may, but for handing in, which is for students alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Does not learn that there is such a course.
    None,
    /// Sees a published course from outside.
    Stranger,
    /// Takes the course: reads what is published, hands in.
    Student,
    /// Reads what is published, in every course, and may archive it.
    Moderator,
    /// Reads and changes what is in it, and sees the work of its students.
    Teacher,
    /// Chooses its teachers, and may delete it.
    Owner,
}

/// How a course knows an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ties {
    pub owner: bool,
    pub teacher: bool,
    /// Takes the course now.
    pub student: bool,
}

impl Right {
    pub fn of(state: PublicationState, asker: &Asker, ties: Ties) -> Right {
        let draft = state == PublicationState::Draft;
        match ties {
            _ if asker.admin || ties.owner => Right::Owner,
            Ties { teacher: true, .. } => Right::Teacher,
            Ties { student: true, .. } if !draft => Right::Student,
            _ if asker.moderator => Right::Moderator,
            _ if state == PublicationState::Published => Right::Stranger,
            _ => Right::None,
        }
    }

    /// Whether they see that there is such a course.
    pub fn sees(self) -> bool {
        self >= Right::Stranger
    }

    /// Whether they read what is published in it.
    pub fn reads(self) -> bool {
        self >= Right::Student
    }

    /// Whether they read and change all of it.
    pub fn teaches(self) -> bool {
        self >= Right::Teacher
    }

    pub fn owns(self) -> bool {
        self == Right::Owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [PublicationState; 3] =
        [PublicationState::Draft, PublicationState::Published, PublicationState::Archived];

    fn row(admin: bool, moderator: bool, ties: Ties) -> [Right; 3] {
        STATES.map(|state| Right::of(state, &Asker { account_id: None, admin, moderator }, ties))
    }

    #[test]
    fn k9_s32_rights_follow_from_the_course_and_two_roles() {
        use Right::*;
        let none = Ties::default();
        let owner = Ties { owner: true, ..none };
        let teacher = Ties { teacher: true, ..none };
        let student = Ties { student: true, ..none };
        assert_eq!(row(false, false, none), [None, Stranger, None]);
        assert_eq!(row(false, false, student), [None, Student, Student]);
        assert_eq!(row(false, true, none), [Moderator; 3]);
        assert_eq!(row(false, true, student), [Moderator, Student, Student]);
        assert_eq!(row(false, true, teacher), [Teacher; 3]);
        assert_eq!(row(false, false, Ties { student: true, ..teacher }), [Teacher; 3]);
        assert_eq!(row(false, false, owner), [Owner; 3]);
        assert_eq!(row(true, false, none), [Owner; 3]);
    }
}
