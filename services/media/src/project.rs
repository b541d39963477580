//! Who may do what in a project, and how much of what there may be.

use quartet_proto::media::v1::ProjectRole;

use crate::error::Error;

/// The longest name of a project, in characters.
pub const NAME: usize = 200;
/// The most projects that an account owns, with deleted ones until they are purged.
pub const PROJECTS: i32 = 1000;
/// The most members of a project, its owner among them.
pub const MEMBERS: i32 = 200;
/// How many files a project is answered with.
pub const NEWEST: i64 = 50;

/// What a member may do; each may do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Uploads, and names files.
    Editor,
    /// Chooses the members, and may delete.
    Owner,
}

impl Role {
    /// Nothing, when this role suffices for what is for `least`.
    pub fn may(self, least: Role) -> Result<(), Error> {
        if self >= least { Ok(()) } else { Err(Error::ProjectRightMissing) }
    }

    pub fn owns(self) -> bool {
        self == Role::Owner
    }

    /// A role as it is stored: `EDITOR`.
    pub fn name(self) -> &'static str {
        ProjectRole::from(self).as_str_name().trim_start_matches("PROJECT_ROLE_")
    }

    /// What nobody knows any more may the least.
    pub fn stored(name: &str) -> Role {
        match name {
            "OWNER" => Role::Owner,
            "EDITOR" => Role::Editor,
            _ => Role::Viewer,
        }
    }

    /// The role that an owner gives to somebody else.
    pub fn given(number: i32) -> Result<Role, &'static str> {
        match ProjectRole::try_from(number) {
            Ok(ProjectRole::Editor) => Ok(Role::Editor),
            Ok(ProjectRole::Viewer) => Ok(Role::Viewer),
            _ => Err("must be `PROJECT_ROLE_EDITOR` or `PROJECT_ROLE_VIEWER`"),
        }
    }
}

impl From<Role> for ProjectRole {
    fn from(role: Role) -> ProjectRole {
        match role {
            Role::Viewer => ProjectRole::Viewer,
            Role::Editor => ProjectRole::Editor,
            Role::Owner => ProjectRole::Owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x13_access_and_ownership_are_roles() {
        let roles = [Role::Viewer, Role::Editor, Role::Owner];
        let may = |least: Role| roles.map(|role| role.may(least).is_ok());
        assert_eq!(may(Role::Viewer), [true; 3]);
        assert_eq!(may(Role::Editor), [false, true, true]);
        assert_eq!(may(Role::Owner), [false, false, true]);
        assert_eq!(roles.map(|role| Role::stored(role.name())), roles);
        assert_eq!(Role::stored("GUEST"), Role::Viewer);
        let given = [0, 1, 2, 3, 4, -1].map(|number| Role::given(number).ok());
        assert_eq!(given, [None, None, Some(Role::Editor), Some(Role::Viewer), None, None]);
    }
}
