//! The roles that an account can have. Which rpc asks for which stands in the contracts.

/// Everybody's.
pub const USER: &str = "user";
/// May do everything that a role can be asked for.
pub const ADMIN: &str = "admin";

/// A role, and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    pub name: &'static str,
    pub description: &'static str,
}

/// All of them, in alphabetical order. An account has several at once.
pub const ROLES: [Role; 5] = [
    Role { name: ADMIN, description: "Administrates accounts, roles and every context." },
    Role { name: "moderator", description: "Looks after what people publish, and imports movies." },
    Role { name: "student", description: "Learns in courses." },
    Role { name: "teacher", description: "Gives courses." },
    Role { name: USER, description: "Everybody's: uses the application." },
];

/// The role of this name.
pub fn parse(name: &str) -> Result<&'static str, &'static str> {
    let role = ROLES.iter().find(|role| role.name == name).map(|role| role.name);
    role.ok_or("must be one of `admin`, `moderator`, `student`, `teacher`, `user`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i22_the_roles_are_told_apart_by_their_names_alone() {
        let names: Vec<&str> = ROLES.iter().map(|role| role.name).collect();
        assert_eq!(names, ["admin", "moderator", "student", "teacher", "user"]);
        assert!(ROLES.iter().all(|role| parse(role.name) == Ok(role.name) && !role.description.is_empty()));
        for none in ["", "Admin", "admin ", "root", "user\n"] {
            assert!(parse(none).is_err(), "{none:?}");
        }
    }
}
