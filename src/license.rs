//! A licence as the seller makes it: a text or a file, held to KooGallery's limits when it is accepted.
//!
//! Every source of licences (the application, the stock, the operator) makes them here. Pure: storing one (sealed),
//! handing it out and uploading it live elsewhere.

use thiserror::Error;

use crate::secret::Secret;

/// Longest text, in bytes. L1 documents no length for the member `license`; this bounds what a slip can put into every
/// reply.
pub const TEXT_LIMIT: usize = 64 << 10;

/// Longest file, in bytes. The upload documents no length; its gateway takes bodies up to 12 MB.
pub const FILE_LIMIT: usize = 8 << 20;

/// Documented maximum of the upload's `file_name`, in characters.
const FILE_NAME_LIMIT: usize = 1024;

/// A licence that KooGallery will take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License(Form);

/// In which of its two forms a licence is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A code or another text.
    Text(Secret<String>),
    /// A file.
    File {
        /// Its name, without a folder.
        name: String,
        /// What is in it.
        content: Secret<Vec<u8>>,
    },
}

/// Why a licence was not accepted. Never shows the licence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LicenseFault {
    /// Nothing in it.
    #[error("the licence is empty")]
    Empty,
    /// Over [`TEXT_LIMIT`] or [`FILE_LIMIT`].
    #[error("the licence has {length} bytes; at most {limit} are possible")]
    TooLong {
        /// Its length.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The name of a file that is none, or one with a folder in it.
    #[error("the licence's file name must be 1 to {FILE_NAME_LIMIT} characters without / \\ and control characters")]
    FileName,
    /// L1 has no place for a file.
    #[error("a licence that is handed out in the reply (kind \"license\") must be a text, not a file")]
    NotAText,
}

impl License {
    /// A text, such as a code.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn text(text: Secret<String>) -> Result<Self, LicenseFault> {
        check_length(text.expose().len(), TEXT_LIMIT)?;
        Ok(Self(Form::Text(text)))
    }

    /// A file.
    ///
    /// # Errors
    /// When it is empty or too long, or its name cannot be a file's.
    pub fn file(name: &str, content: Secret<Vec<u8>>) -> Result<Self, LicenseFault> {
        check_length(content.expose().len(), FILE_LIMIT)?;
        let strange = |c: char| c.is_control() || matches!(c, '/' | '\\');
        if name.trim().is_empty() || name.contains(strange) || name.chars().count() > FILE_NAME_LIMIT {
            return Err(LicenseFault::FileName);
        }
        Ok(Self(Form::File { name: name.to_owned(), content }))
    }

    /// The form it is in.
    pub fn form(&self) -> &Form {
        &self.0
    }

    /// The text, where it is one.
    ///
    /// # Errors
    /// [`LicenseFault::NotAText`].
    pub fn as_text(&self) -> Result<&Secret<String>, LicenseFault> {
        match &self.0 {
            Form::Text(text) => Ok(text),
            Form::File { .. } => Err(LicenseFault::NotAText),
        }
    }
}

fn check_length(length: usize, limit: usize) -> Result<(), LicenseFault> {
    match length {
        0 => Err(LicenseFault::Empty),
        _ if length > limit => Err(LicenseFault::TooLong { length, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Result<License, LicenseFault> {
        License::text(Secret::new(text.to_owned()))
    }

    fn file(name: &str, length: usize) -> Result<License, LicenseFault> {
        License::file(name, Secret::new(vec![0; length]))
    }

    #[test]
    fn texts_and_files_are_accepted_up_to_their_limits() {
        assert!(text("A-1").is_ok() && text(&"x".repeat(TEXT_LIMIT)).is_ok());
        assert!(file("a.lic", FILE_LIMIT).is_ok() && file("许可证.dat", 1).is_ok());
        assert!(file(&"名".repeat(1024), 1).is_ok());
        assert_eq!(text(""), Err(LicenseFault::Empty));
        assert_eq!(file("a.lic", 0), Err(LicenseFault::Empty));
        let (length, limit) = (TEXT_LIMIT + 1, TEXT_LIMIT);
        assert_eq!(text(&"x".repeat(length)), Err(LicenseFault::TooLong { length, limit }));
    }

    #[test]
    fn a_file_name_leads_nowhere_else() {
        for name in ["", " ", "../a", "a\\b", "a\nb", &"n".repeat(1025)] {
            assert_eq!(file(name, 1), Err(LicenseFault::FileName), "{name:?}");
        }
    }

    #[test]
    fn a_licence_never_shows_in_debug_output() {
        let shown = format!("{:?} {:?}", text("SECRET-CODE"), file("a.lic", 3));
        assert!(!shown.contains("SECRET-CODE") && shown.contains("a.lic"), "{shown}");
        assert_eq!(file("a.lic", 1).unwrap().as_text(), Err(LicenseFault::NotAText));
    }
}
