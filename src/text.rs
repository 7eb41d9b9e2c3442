//! Texts for people in the two languages that koogate speaks. Somebody who writes one writes the other, too: a [`Both`]
//! without its translation does not compile. What is said where is not decided here.

use serde::{Deserialize, Serialize};

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

impl Language {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Zh, Self::En];

    /// The value of HTML's `lang`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// What it is called in addresses and in the cookie that keeps a choice.
    pub fn code(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    /// From its code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// In its own words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zh => "中文",
            Self::En => "English",
        }
    }

    /// What a browser asks for in `Accept-Language` (RFC 9110 §12.5.4): the language of the highest weight, the first of
    /// equals. English where it asks for neither.
    pub fn accepted(header: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let language = match tag.split('-').next() {
                Some("zh") => Self::Zh,
                Some("en") => Self::En,
                _ => continue,
            };
            let weight = weight.filter(|weight| *weight > 0.0 && *weight <= 1.0);
            if let Some(weight) = weight
                && best.is_none_or(|(before, _)| weight > before)
            {
                best = Some((weight, language));
            }
        }
        best.map_or(Self::En, |(_, language)| language)
    }
}

/// One text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Both {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Both {
    /// From its two languages.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }

    /// What is the same in both: an id, a number.
    pub fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { zh: text.clone(), en: text }
    }

    /// In one language.
    pub fn of(&self, language: Language) -> &str {
        match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_the_browser_likes_best() {
        for (header, expected) in [
            ("", Language::En),
            ("zh", Language::Zh),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Zh),
            ("zh-Hant-TW", Language::Zh),
            ("en-GB,en;q=0.9,zh-CN;q=0.8", Language::En),
            ("de,fr;q=0.9", Language::En),
            ("de,zh;q=0.5,en;q=0.4", Language::Zh),
            ("en;q=0.4, ZH-cn;q=0.5", Language::Zh),
            ("zh;q=0, en;q=0.1", Language::En),
            ("zh;q=nonsense", Language::En),
            ("zh;q=NaN,zh;q=7", Language::En),
            ("*", Language::En),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }

    #[test]
    fn a_language_is_found_by_its_code() {
        for language in Language::ALL {
            assert_eq!(Language::of_code(language.code()), Some(language));
        }
        assert_eq!(Language::of_code("de"), None);
    }
}
