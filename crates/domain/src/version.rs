//! Semantic versions of models: `major.minor.patch`.

/// A model's semantic version. A retraining raises `minor`; a set of labels other than the serving version's raises
/// `major`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Raised when predictions are no longer comparable (other labels).
    pub major: u32,
    /// Raised by every retraining.
    pub minor: u32,
    /// Zero: a training is registered once.
    pub patch: u32,
}

impl Version {
    /// The first version of every task.
    pub const FIRST: Self = Self {
        major: 1,
        minor: 0,
        patch: 0,
    };

    /// The version after this one: a new major when the set of labels changed, else a new minor.
    pub fn next(self, labels_changed: bool) -> Self {
        if labels_changed {
            Self {
                major: self.major + 1,
                minor: 0,
                patch: 0,
            }
        } else {
            Self {
                major: self.major,
                minor: self.minor + 1,
                patch: 0,
            }
        }
    }
}

/// Text that is no `major.minor.patch`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a version; expected three numbers such as 1.4.0")]
pub struct ParseVersionError(String);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{}.{}", self.major, self.minor, self.patch))
    }
}

impl std::str::FromStr for Version {
    type Err = ParseVersionError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Vec<u32> = text
            .trim_start_matches('v')
            .split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| ParseVersionError(text.to_owned()))?;
        match numbers[..] {
            [major, minor, patch] => Ok(Self { major, minor, patch }),
            _ => Err(ParseVersionError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_print_and_order() {
        let version: Version = "v1.10.0".parse().unwrap();
        assert_eq!(version.to_string(), "1.10.0");
        assert!(version > "1.9.9".parse().unwrap());
        assert_eq!(version.next(false).to_string(), "1.11.0");
        assert_eq!(version.next(true).to_string(), "2.0.0");
        assert!("1.2".parse::<Version>().is_err());
    }
}
