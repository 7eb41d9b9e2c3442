//! Chinese and English: every text of a page is written in both, in one place, or it does not compile.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// 简体中文
    Chinese,
    /// English
    English,
}

impl Language {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Chinese, Self::English];

    /// The value of HTML's `lang`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    /// What it is called in addresses and in the cookie that keeps a choice.
    pub fn code(self) -> &'static str {
        match self {
            Self::Chinese => "zh",
            Self::English => "en",
        }
    }

    /// From its code.
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// In its own words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chinese => "中文",
            Self::English => "English",
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
                Some("zh") => Self::Chinese,
                Some("en") => Self::English,
                _ => continue,
            };
            let weight = weight.filter(|weight| *weight > 0.0 && *weight <= 1.0);
            if let Some(weight) = weight
                && best.is_none_or(|(before, _)| weight > before)
            {
                best = Some((weight, language));
            }
        }
        best.map_or(Self::English, |(_, language)| language)
    }
}

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

/// A text with values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// A text with values in it: Chinese, then English.
pub fn words(zh: impl Into<String>, en: impl Into<String>) -> Words {
    Words { zh: zh.into(), en: en.into() }
}

impl From<Text> for Words {
    fn from(text: Text) -> Self {
        words(text.zh, text.en)
    }
}

impl Bilingual for Text {
    fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Chinese => self.zh,
            Language::English => self.en,
        }
    }
}

impl Bilingual for Words {
    fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Chinese => &self.zh,
            Language::English => &self.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_the_browser_likes_best() {
        for (header, expected) in [
            ("", Language::English),
            ("zh", Language::Chinese),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("zh-Hant-TW", Language::Chinese),
            ("en-GB,en;q=0.9,zh-CN;q=0.8", Language::English),
            ("de,fr;q=0.9", Language::English),
            ("de,zh;q=0.5,en;q=0.4", Language::Chinese),
            ("en;q=0.4, ZH-cn;q=0.5", Language::Chinese),
            ("zh;q=0, en;q=0.1", Language::English),
            ("zh;q=nonsense", Language::English),
            ("zh;q=NaN,zh;q=7", Language::English),
            ("*", Language::English),
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
