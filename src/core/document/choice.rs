//! Fields that take one of a few words.

/// Declares an enum of words with `as_str` and `Display`.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
                 serde::Deserialize, schemars::JsonSchema, bitcode::Encode, bitcode::Decode)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// The word that stands for it in a document.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use choice;

choice! {
    /// What to do about files of a node that differ from what was applied.
    Drift {
        /// Do not look.
        Off = "off",
        /// Look and report.
        Report = "report",
        /// Look, report and put things back.
        Heal = "heal",
    }
}
