//! What is said of one environment variable.

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// What it belongs to; variables of one group stand together.
    pub group: &'static str,
    /// Its name. The same name with `_FILE` may name a file that holds the value.
    pub name: &'static str,
    /// How much of its value may be shown.
    pub shown: Shown,
    /// What holds when it is not set, in words; `None` when nothing does.
    pub default: Option<&'static str>,
    /// A value that could stand there.
    pub example: &'static str,
    /// What it is for, in sentences for people.
    pub meaning: &'static str,
}

/// How much of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Plainly,
    /// A URL without its password.
    WithoutPassword,
    /// Nothing: it is a secret.
    Never,
}

impl Variable {
    /// True when the value holds a secret, whole or in part.
    pub fn is_secret(&self) -> bool {
        self.shown != Shown::Plainly
    }
}

/// One whose value may be shown.
pub(super) const fn plain(
    group: &'static str,
    name: &'static str,
    default: Option<&'static str>,
    example: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable { group, name, shown: Shown::Plainly, default, example, meaning }
}

/// One that holds a secret.
pub(super) const fn secret(
    group: &'static str,
    name: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable { group, name, shown: Shown::Never, default: None, example, meaning }
}
