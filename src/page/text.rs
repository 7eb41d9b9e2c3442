//! What pages say: every text is written in both languages, in one place, or it does not compile.

pub use crate::text::{Both as Words, Language};

/// What has a form in each language.
pub trait Bilingual {
    /// The form in this one.
    fn in_language(&self, language: Language) -> &str;
}

/// A fixed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// In Chinese.
    pub zh: &'static str,
    /// In English.
    pub en: &'static str,
}

/// A fixed text: Chinese, then English.
pub const fn text(zh: &'static str, en: &'static str) -> Text {
    Text { zh, en }
}

/// A text with values in it: Chinese, then English.
pub fn words(zh: impl Into<String>, en: impl Into<String>) -> Words {
    Words::new(zh, en)
}

impl From<Text> for Words {
    fn from(text: Text) -> Self {
        words(text.zh, text.en)
    }
}

impl Bilingual for Text {
    fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Zh => self.zh,
            Language::En => self.en,
        }
    }
}

impl Bilingual for Words {
    fn in_language(&self, language: Language) -> &str {
        self.of(language)
    }
}
