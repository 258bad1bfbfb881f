//! Users and groups that scripts run as.

use nix::unistd::{Gid, Group, User, getegid, geteuid, getgrouplist};
use standfast_parser::model::ScriptUser;
use std::ffi::CString;

/// The account that keepalived prefers for scripts when the configuration names none.
pub const PREFERRED_USER: &str = "keepalived_script";

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Account {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Account {
    /// Root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    /// The account of this process.
    #[must_use]
    pub fn own() -> Self {
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }

    /// Looks an account up by names or numbers.
    ///
    /// # Errors
    /// Which name does not exist.
    pub fn resolve(wanted: &ScriptUser) -> Result<Self, UnknownAccount> {
        let account = Self::of_user(&wanted.user)?;
        match &wanted.group {
            Some(group) => Ok(Self { gid: gid_of(group)?, ..account }),
            None => Ok(account),
        }
    }

    /// Looks a user up, with the user's own group. A number that no user has is its own group, too.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn of_user(name: &str) -> Result<Self, UnknownAccount> {
        let number: Option<u32> = name.parse().ok();
        let found = match number {
            Some(uid) => User::from_uid(uid.into()),
            None => User::from_name(name),
        };
        match (found, number) {
            (Ok(Some(user)), _) => Ok(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }),
            (_, Some(uid)) => Ok(Self { uid, gid: uid }),
            _ => Err(UnknownAccount::User(name.to_owned())),
        }
    }
}

impl Account {
    /// Every group that the user belongs to, its own one included; none for a number without a user.
    #[must_use]
    pub fn groups(self) -> Vec<u32> {
        let Ok(Some(user)) = User::from_uid(self.uid.into()) else { return Vec::new() };
        let Ok(name) = CString::new(user.name) else { return Vec::new() };
        let groups = getgrouplist(&name, Gid::from_raw(self.gid)).unwrap_or_default();
        groups.into_iter().map(Gid::as_raw).collect()
    }
}

/// In a user namespace, the number under which owners from outside appear (user_namespaces(7)); `None` where every user is known.
#[must_use]
pub fn outsider() -> Option<u32> {
    let map = std::fs::read_to_string("/proc/self/uid_map").ok()?;
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    let number = std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok()?;
    number.trim().parse().ok().filter(|_| !whole)
}

fn gid_of(name: &str) -> Result<u32, UnknownAccount> {
    if let Ok(gid) = name.parse() {
        return Ok(gid);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(UnknownAccount::Group(name.to_owned())),
    }
}

/// A user or group that this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownAccount {
    /// No such user.
    #[error("Script user '{0}' does not exist")]
    User(String),
    /// No such group.
    #[error("Script group '{0}' does not exist")]
    Group(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(user: &str, group: Option<&str>) -> ScriptUser {
        ScriptUser { user: user.to_owned(), group: group.map(ToOwned::to_owned) }
    }

    #[test]
    fn names_and_numbers() {
        assert_eq!(Account::resolve(&wanted("root", None)), Ok(Account::ROOT));
        assert_eq!(Account::resolve(&wanted("0", Some("7"))), Ok(Account { uid: 0, gid: 7 }));
        assert_eq!(Account::resolve(&wanted("root", Some("root"))), Ok(Account::ROOT));
        assert_eq!(Account::resolve(&wanted("4000000000", None)).map(|account| account.gid), Ok(4_000_000_000));
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let user = Account::resolve(&wanted("no_such_user_x", None)).unwrap_err();
        assert_eq!(user.to_string(), "Script user 'no_such_user_x' does not exist");
        let group = Account::resolve(&wanted("root", Some("no_such_group_x"))).unwrap_err();
        assert_eq!(group.to_string(), "Script group 'no_such_group_x' does not exist");
        assert!(Account::resolve(&wanted("ro\0ot", None)).is_err());
    }
}
