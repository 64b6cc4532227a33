//! Values that are written as one scalar and checked while they are read.
//!
//! Each type keeps one canonical spelling, so that two spellings of the same value compare
//! equal, and names the format under which the JSON Schema lists it.

mod code;
mod hook;
mod name;
mod net;
mod number;
mod path;
mod quantity;
mod schedule;
mod secret;
mod source;
mod text;
mod time;
mod value;
mod window;
mod wordpress;
mod zone;

pub use code::{
    AgeRecipient, BackupId, BackupRepository, Command, GitRef, GitUrl, HostKey, PackageName,
    Sha256, Sha512, SshPublicKey, Token,
};
pub use hook::HookPoint;
pub use name::{Email, Host, HostName, LabelKey, Locale, Slug, UnixUser, Version};
pub use net::{AcmeDirectory, Cidr, IpAddress, OpenPort, RedirectTarget};
pub use number::{
    Amount, Count, HttpStatus, Keep, Parallel, Percent, Port, RedirectStatus, Releases, Workers,
};
pub(crate) use path::decoded;
pub use path::{RelativePath, UrlPath};
pub use quantity::{Batch, ByteSize, Duration, PhpSize, Rate};
pub use schedule::Schedule;
pub(crate) use secret::PREFIX as SECRET_PREFIX;
pub use secret::{Grantee, SecretPattern, SecretRef};
pub use source::{Source, SourcePath, SourceUrl};
pub use text::Text;
pub use time::Date;
pub use value::Value;
pub use window::{MINUTES_OF_A_DAY, Occasion, Opening, Window};
pub use wordpress::{
    ConstantName, CookieName, HeaderName, IniKey, OptionName, PhpVersion, ResourceRef, TableName,
    WafRule, WordPressSlug,
};
pub use zone::zone as time_zone;

/// The `format` of a reference to a secret.
pub(crate) const SECRET_FORMAT: &str = <SecretRef as Scalar>::FORMAT;

/// Why a text is not a value of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// A fragment; it may quote the value, except where the value may be a secret.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Malformed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A type that reads and writes one scalar.
pub trait Scalar: Sized {
    /// The `format` of the JSON Schema.
    const FORMAT: &'static str;
    /// What it is, for the schema.
    const DESCRIPTION: &'static str;
    /// Valid values, for the schema and for hints.
    const EXAMPLES: &'static [&'static str];

    /// Reads any accepted spelling.
    ///
    /// # Errors
    /// [`Malformed`] with what is wrong and what to write.
    fn parse(text: &str) -> Result<Self, Malformed>;
}

/// Implements reading, writing and the schema of a [`Scalar`] that has `Display`.
macro_rules! scalar_impls {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = $crate::core::document::scalar::Malformed;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                <Self as $crate::core::document::scalar::Scalar>::parse(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use $crate::core::document::scalar::{SECRET_FORMAT, Scalar};
                // What looks for references has to tell them from text that only looks so.
                match Self::FORMAT {
                    SECRET_FORMAT => {
                        serializer.serialize_newtype_struct(SECRET_FORMAT, &self.to_string())
                    }
                    _ => serializer.collect_str(self),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(
                    $crate::core::document::scalar::ScalarVisitor::<$name>(std::marker::PhantomData),
                )
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use $crate::core::document::scalar::Scalar;
                let mut schema = schemars::json_schema!({
                    "type": $crate::core::document::scalar::json_types(Self::FORMAT),
                    "format": Self::FORMAT,
                    "description": Self::DESCRIPTION,
                    "examples": Self::EXAMPLES,
                });
                if let Some(pattern) = $crate::core::document::scalar::pattern(Self::FORMAT) {
                    schema.insert("pattern".to_owned(), pattern.into());
                }
                schema
            }
        }
    };
}

/// Declares a scalar that is kept as the text itself (`, check`), or as what a function makes of it
/// (`=> canonical`).
macro_rules! text_scalar {
    ($(#[doc = $doc:literal])* $name:ident, $format:literal, [$($example:literal),+], $check:expr) => {
        $crate::core::document::scalar::text_scalar! {
            $(#[doc = $doc])*
            $name, $format, [$($example),+] => |text: &str| {
                let check: fn(&str) -> Result<(), $crate::core::document::scalar::Malformed> =
                    $check;
                check(text).map(|()| text.to_owned())
            }
        }
    };
    ($(#[doc = $doc:literal])* $name:ident, $format:literal, [$($example:literal),+] => $canonical:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bitcode::Encode,
                 bitcode::Decode)]
        pub struct $name(String);

        impl $name {
            /// The canonical spelling.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl $crate::core::document::scalar::Scalar for $name {
            const FORMAT: &'static str = $format;
            const DESCRIPTION: &'static str = concat!($($doc),*);
            const EXAMPLES: &'static [&'static str] = &[$($example),+];

            fn parse(text: &str) -> Result<Self, $crate::core::document::scalar::Malformed> {
                let canonical: fn(
                    &str,
                )
                    -> Result<String, $crate::core::document::scalar::Malformed> = $canonical;
                canonical(text).map(Self)
            }
        }

        $crate::core::document::scalar::scalar_impls!($name);
    };
}

pub(crate) use {scalar_impls, text_scalar};

/// Reads a scalar from text; whole numbers are read as their digits, which is how JSON
/// gives them.
pub(crate) struct ScalarVisitor<T>(pub(crate) std::marker::PhantomData<T>);

impl<T: Scalar> serde::de::Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a text such as `{}`", T::EXAMPLES.first().unwrap_or(&""))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        T::parse(&number.to_string()).map_err(E::custom)
    }
}

macro_rules! formats {
    ($format:expr, $text:expr; $($name:ident)+) => {{
        $(if $format == <$name as Scalar>::FORMAT {
            return Some(<$name as Scalar>::parse($text).map(drop));
        })+
        None
    }};
}

/// Checks a text against a `format` of the schema; none for a format that has no rule.
pub(crate) fn check_format(format: &str, text: &str) -> Option<Result<(), Malformed>> {
    if format == "value" {
        return Some(Value::text(text).map(drop));
    }
    formats! { format, text;
        AcmeDirectory AgeRecipient BackupId BackupRepository Batch ByteSize Cidr Command
        ConstantName CookieName Date Duration Email GitRef GitUrl Grantee HeaderName HookPoint Host
        HostKey HostName IniKey IpAddress LabelKey Locale OpenPort OptionName PackageName
        PhpSize PhpVersion Rate RedirectTarget RelativePath ResourceRef Schedule SecretPattern SecretRef
        Sha256 Sha512 Slug Source SourcePath SourceUrl SshPublicKey TableName Text Token UnixUser UrlPath Version WafRule
        Window WordPressSlug
    }
}

/// The schema of the keys of a map.
pub(crate) fn key_schema<K: Scalar>() -> serde_json::Value {
    serde_json::json!({ "format": K::FORMAT, "examples": K::EXAMPLES })
}

/// What an editor can check by itself; the whole rule is `parse`.
pub(crate) fn pattern(format: &str) -> Option<&'static str> {
    match format {
        "slug" => Some("^[a-z](-?[a-z0-9])*$"),
        "secret-ref" => Some("^secret:[A-Za-z0-9]"),
        "time-span" => Some("^(0|[1-9][0-9]*) *[smhdw]$"),
        "byte-size" | "php-size" => Some("^(0|[1-9][0-9]*) *(B|[KMGT](iB)?)$"),
        _ => None,
    }
}

/// What an editor should accept: a version or a count may be written without quotes, since
/// a scalar is read as the text that stands there.
pub(crate) fn json_types(format: &str) -> &'static [&'static str] {
    match format {
        "version" | "php-version" | "token" | "waf-rule" | "batch" | "git-ref" | "text" => {
            &["string", "number"]
        }
        _ => &["string"],
    }
}

/// Refuses what could end a line, hide or reorder text on a host or a screen.
pub(crate) fn printable(text: &str) -> Result<(), Malformed> {
    match text.chars().find(|c| is_hidden(*c)) {
        None => Ok(()),
        Some(c) => Err(Malformed::new(format!(
            "the character U+{:04X} cannot be seen and is not allowed here",
            u32::from(c)
        ))
        .hint("remove it")),
    }
}

/// Control characters and those that change the direction or the visibility of text.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// The value for a message: shortened, and with hidden characters made visible.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for (count, c) in text.chars().enumerate() {
        if count == 60 {
            out.push('…');
            break;
        }
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// Checks the length and that each character is allowed; names both in the message.
pub(crate) fn only(
    text: &str,
    what: &str,
    longest: usize,
    allowed: fn(char) -> bool,
    characters: &str,
) -> Result<(), Malformed> {
    if text.is_empty() {
        return Err(Malformed::new(format!("{what} is empty")));
    }
    if text.chars().count() > longest {
        return Err(Malformed::new(format!(
            "{what} is longer than {longest} characters"
        )));
    }
    match text.chars().find(|c| !allowed(*c)) {
        None => Ok(()),
        Some(_) => Err(Malformed::new(format!("{} is not {what}", quoted(text)))
            .hint(format!("use only {characters}"))),
    }
}

#[cfg(test)]
mod tests;
