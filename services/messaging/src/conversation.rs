//! What a conversation is, who may do what in one, how it is called, and how much of what there may be.

use quartet_proto::messaging::v1::{ConversationKind, ParticipantRole};

use crate::error::Error;

/// The longest name of a group, in characters.
pub const NAME: usize = 100;
/// The most conversations that an account has begun and takes part in.
pub const CONVERSATIONS: i32 = 10_000;
/// The most accounts that an account blocks.
pub const BLOCKS: i32 = 1000;
/// The most conversations that an account pins.
pub const PINS: i32 = 50;
/// How many people are named at once.
pub const NAMED: usize = 1000;
/// Up to how many participants everybody is told how far everybody is.
pub const FEW: i32 = 100;
/// How many participants a conversation is answered with.
pub const SHOWN: usize = 8;
/// How many of them the name of a group has that was given none.
const CALLED: usize = 3;

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Direct,
    Group,
}

impl Kind {
    /// A kind as it is stored: `GROUP`.
    pub fn name(self) -> &'static str {
        ConversationKind::from(self).as_str_name().trim_start_matches("CONVERSATION_KIND_")
    }

    /// What nobody knows any more can be changed the least.
    pub fn stored(name: &str) -> Kind {
        if name == "GROUP" { Kind::Group } else { Kind::Direct }
    }

    /// The kind of a conversation that is to be started.
    pub fn given(number: i32) -> Result<Kind, &'static str> {
        match ConversationKind::try_from(number) {
            Ok(ConversationKind::Direct) => Ok(Kind::Direct),
            Ok(ConversationKind::Group) => Ok(Kind::Group),
            _ => Err("must be `CONVERSATION_KIND_DIRECT` or `CONVERSATION_KIND_GROUP`"),
        }
    }
}

impl From<Kind> for ConversationKind {
    fn from(kind: Kind) -> ConversationKind {
        match kind {
            Kind::Direct => ConversationKind::Direct,
            Kind::Group => ConversationKind::Group,
        }
    }
}

/// What a participant may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Writes, adds people, and renames the group.
    Member,
    /// Removes people as well, deletes what others have written, takes their reactions away, and makes owners.
    Owner,
}

impl Role {
    /// Nothing for an owner.
    pub fn check_owner(self) -> Result<(), Error> {
        if self == Role::Owner { Ok(()) } else { Err(Error::RightMissing) }
    }

    /// A role as it is stored: `OWNER`.
    pub fn name(self) -> &'static str {
        ParticipantRole::from(self).as_str_name().trim_start_matches("PARTICIPANT_ROLE_")
    }

    /// What nobody knows any more may the least.
    pub fn stored(name: &str) -> Role {
        if name == "OWNER" { Role::Owner } else { Role::Member }
    }

    /// The role that an owner gives.
    pub fn given(number: i32) -> Result<Role, &'static str> {
        match ParticipantRole::try_from(number) {
            Ok(ParticipantRole::Member) => Ok(Role::Member),
            Ok(ParticipantRole::Owner) => Ok(Role::Owner),
            _ => Err("must be `PARTICIPANT_ROLE_MEMBER` or `PARTICIPANT_ROLE_OWNER`"),
        }
    }
}

impl From<Role> for ParticipantRole {
    fn from(role: Role) -> ParticipantRole {
        match role {
            Role::Member => ParticipantRole::Member,
            Role::Owner => ParticipantRole::Owner,
        }
    }
}

/// Nothing where there is somebody to say something to: in a direct conversation the other account may be gone. A group may be of one.
pub fn check_peer(kind: Kind, participants: i32) -> Result<(), Error> {
    if kind == Kind::Direct && participants < 2 { Err(Error::PeerGone) } else { Ok(()) }
}

/// What a conversation without a name is called by somebody: by the first names of the `others`, such as `Ada, Bob & Eve`. `count` says how
/// many others there are in all. Who has no name here is counted, too.
pub fn display_name(others: &[&str], count: usize) -> String {
    let called: Vec<&str> =
        others.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).take(CALLED).collect();
    let more = count.saturating_sub(called.len());
    match (called.as_slice(), more) {
        ([], 0) => String::new(),
        ([], 1) => "1 other".to_owned(),
        ([], _) => format!("{more} others"),
        ([one], 0) => (*one).to_owned(),
        ([first @ .., last], 0) => format!("{} & {last}", first.join(", ")),
        (all, 1) => format!("{} & 1 other", all.join(", ")),
        (all, _) => format!("{} & {more} others", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_a_group_without_a_name_is_called_by_the_others() {
        let called = |others: &[&str]| display_name(others, others.len());
        assert_eq!(called(&[]), "");
        assert_eq!(called(&["Ada"]), "Ada");
        assert_eq!(called(&["Ada", "Bob"]), "Ada & Bob");
        assert_eq!(called(&["Ada", "Bob", "Eve"]), "Ada, Bob & Eve");
        assert_eq!(called(&["Ada", "Bob", "Eve", "Joe"]), "Ada, Bob, Eve & 1 other");
        assert_eq!(display_name(&["Ada", "Bob", "Eve", "Joe"], 9), "Ada, Bob, Eve & 6 others");
        assert_eq!(called(&["", "Bob", " "]), "Bob & 2 others");
        assert_eq!([called(&[""]), called(&["", ""])], ["1 other", "2 others"]);
    }

    #[test]
    fn g11_kinds_and_roles_are_stored_as_they_are_read() {
        for kind in [Kind::Direct, Kind::Group] {
            assert_eq!((Kind::stored(kind.name()), Kind::given(ConversationKind::from(kind).into())), (kind, Ok(kind)));
        }
        for role in [Role::Member, Role::Owner] {
            assert_eq!((Role::stored(role.name()), Role::given(ParticipantRole::from(role).into())), (role, Ok(role)));
        }
        assert_eq!((Kind::stored("CHANNEL"), Role::stored("ADMIN")), (Kind::Direct, Role::Member));
        assert!([0, 3, -1].into_iter().all(|number| Kind::given(number).is_err() && Role::given(number).is_err()));
        assert!(Role::Owner.check_owner().is_ok() && Role::Member.check_owner().is_err());
    }
}
