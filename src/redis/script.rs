//! The operations on a queue as scripts that the server runs, each at once and undisturbed by others.

use std::sync::OnceLock;

/// What precedes all of them.
const COMMON: &str = include_str!("scripts/common.lua");

/// An operation.
pub(super) struct Script {
    source: &'static str,
    known: OnceLock<redis::Script>,
}

impl Script {
    const fn new(source: &'static str) -> Self {
        Script { source, known: OnceLock::new() }
    }

    /// By what a server that has it knows it.
    pub(super) fn digest(&self) -> &str {
        self.known().get_hash()
    }

    /// What a server that does not has to be told.
    pub(super) fn text(&self) -> String {
        [COMMON, self.source].concat()
    }

    fn known(&self) -> &redis::Script {
        self.known.get_or_init(|| redis::Script::new(&self.text()))
    }
}

macro_rules! scripts {
    ($($name:ident $file:literal),* $(,)?) => {
        $(pub(super) static $name: Script = Script::new(include_str!(concat!("scripts/", $file, ".lua")));)*
    };
}

scripts! {
    CREATE "create",
    END "end",
    EXTEND "extend",
    HANDED "handed",
    HAND_ON_DEAD "hand_on_dead",
    KEEP "keep",
    LEAVE "leave",
    OPEN "open",
    PEEK "peek",
    PRODUCE "produce",
    PURGE "purge",
    PUT "put",
    REMOVE "remove",
    RENEW "renew",
    RESOLVE "resolve",
    RETRY "retry",
    SETTLE "settle",
    STATUS "status",
    STEER "steer",
    TAKE "take",
    UNFINISHED "unfinished",
    VERIFY "verify",
}
