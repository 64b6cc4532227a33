//! One definition per settings block, from which two types come: the *fields* as written
//! (everything may be missing) and the *effective* block (every default filled in).
//!
//! A field is declared as one of
//! - `name: Type = default,` missing means the default,
//! - `name?: Type,` missing stays missing,
//! - `name!: Type,` missing here must come from the fleet's `defaults` or a derived default,
//! - `name%: Key => Value,` a map that merges key by key,
//! - `name: Fields => Block,` a nested block,
//! - `name&: Fields,` a nested block that stays as it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// A field that neither the document nor the fleet's defaults give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Dotted, such as `admin.email`.
    pub path: String,
}

impl Missing {
    pub(crate) fn field(name: &str) -> Self {
        Self {
            path: name.trim_start_matches("r#").to_owned(),
        }
    }

    pub(crate) fn within(self, block: &str) -> Self {
        Self {
            path: format!("{}.{}", block.trim_start_matches("r#"), self.path),
        }
    }
}

/// A part of a document under which defaults can be laid: maps merge deeply, lists and
/// scalars replace.
pub trait Layer: Sized {
    /// Whether nothing is written here.
    fn is_unset(&self) -> bool;

    /// Takes from `defaults` what is not written here.
    fn fill(&mut self, defaults: &Self);
}

impl<T: Clone> Layer for Option<T> {
    fn is_unset(&self) -> bool {
        self.is_none()
    }

    fn fill(&mut self, defaults: &Self) {
        if self.is_none() {
            self.clone_from(defaults);
        }
    }
}

impl<K: Ord + Clone, V: Clone> Layer for BTreeMap<K, V> {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }

    fn fill(&mut self, defaults: &Self) {
        for (key, value) in defaults {
            if !self.contains_key(key) {
                self.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Reads a value that is there; `null` is no value and is refused by the type itself.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// The value itself; it tells the compiler its type where a schema is made.
pub(crate) fn typed<T>(value: T) -> T {
    value
}

/// Declares a nested block: `block! { FieldsName => BlockName { … } }`.
macro_rules! block {
    ($(#[$meta:meta])* $fields:ident => $block:ident { $($body:tt)* }) => {
        $crate::core::document::layer::munch! {
            { block [$(#[$meta])*] $fields $fields $block } shared [] [] [] [] [] ; $($body)*
        }
    };
}

/// Declares a kind of document: `kind! { DocumentName, DefaultsName => Name { own { … }
/// shared { … } } }`. Own fields cannot come from the fleet's defaults; the ones that are
/// declared first and without `?`, `!`, `%`, `=` must be written in every document.
macro_rules! kind {
    ($(#[$meta:meta])* $document:ident, $defaults:ident => $kind:ident {
        own { $($own:tt)* }
        shared { $($shared:tt)* }
    }) => {
        $crate::core::document::layer::munch! {
            { kind [$(#[$meta])*] $document $defaults $kind } own [] [] [] [] [] ;
            $($own)* @shared $($shared)*
        }
    };
}

/// Sorts the fields of a block into what is written, what is effective and how one becomes
/// the other. The five lists: required fields, other own fields, shared fields, effective
/// fields, and each field's name with its mode.
macro_rules! munch {
    ($head:tt own $req:tt $own:tt $shared:tt $eff:tt $all:tt ; @shared $($rest:tt)*) => {
        $crate::core::document::layer::munch! {
            $head shared $req $own $shared $eff $all ; $($rest)*
        }
    };
    // `name: Type = default,`
    ($head:tt $part:ident $req:tt $own:tt $shared:tt [$($eff:tt)*] [$($all:tt)*] ;
        $(#[$m:meta])* $name:ident : $ty:ty = $default:expr, $($rest:tt)*) => {
        $crate::core::document::layer::push! {
            $head $part $req $own $shared
            [$($eff)* $(#[$m])* pub $name: $ty,]
            [$($all)* { $part $name default ($default) }]
            { $(#[$m])* #[serde(default,
                    deserialize_with = "crate::core::document::layer::present",
                    skip_serializing_if = "Option::is_none")]
                #[schemars(extend("default" =
                    $crate::core::document::layer::typed::<$ty>($default)))]
                pub $name: Option<$ty>, }
            ; $($rest)*
        }
    };
    // `name?: Type,`
    ($head:tt $part:ident $req:tt $own:tt $shared:tt [$($eff:tt)*] [$($all:tt)*] ;
        $(#[$m:meta])* $name:ident ? : $ty:ty, $($rest:tt)*) => {
        $crate::core::document::layer::push! {
            $head $part $req $own $shared
            [$($eff)* $(#[$m])* pub $name: Option<$ty>,]
            [$($all)* { $part $name same () }]
            { $(#[$m])* #[serde(default,
                    deserialize_with = "crate::core::document::layer::present",
                    skip_serializing_if = "Option::is_none")]
                pub $name: Option<$ty>, }
            ; $($rest)*
        }
    };
    // `name!: Type,`
    ($head:tt $part:ident $req:tt $own:tt $shared:tt [$($eff:tt)*] [$($all:tt)*] ;
        $(#[$m:meta])* $name:ident ! : $ty:ty, $($rest:tt)*) => {
        $crate::core::document::layer::push! {
            $head $part $req $own $shared
            [$($eff)* $(#[$m])* pub $name: $ty,]
            [$($all)* { $part $name needed () }]
            { $(#[$m])* #[serde(default,
                    deserialize_with = "crate::core::document::layer::present",
                    skip_serializing_if = "Option::is_none")]
                pub $name: Option<$ty>, }
            ; $($rest)*
        }
    };
    // `name%: Key => Value,`
    ($head:tt $part:ident $req:tt $own:tt $shared:tt [$($eff:tt)*] [$($all:tt)*] ;
        $(#[$m:meta])* $name:ident % : $key:ty => $value:ty, $($rest:tt)*) => {
        $crate::core::document::layer::push! {
            $head $part $req $own $shared
            [$($eff)* $(#[$m])* pub $name: std::collections::BTreeMap<$key, $value>,]
            [$($all)* { $part $name same () }]
            { $(#[$m])*
                #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
                #[schemars(extend("propertyNames" =
                    $crate::core::document::scalar::key_schema::<$key>()))]
                pub $name: std::collections::BTreeMap<$key, $value>, }
            ; $($rest)*
        }
    };
    // `name&: Fields,`
    ($head:tt $part:ident $req:tt $own:tt $shared:tt [$($eff:tt)*] [$($all:tt)*] ;
        $(#[$m:meta])* $name:ident & : $ty:ty, $($rest:tt)*) => {
        $crate::core::document::layer::push! {
            $head $part $req $own $shared
            [$($eff)* $(#[$m])* pub $name: $ty,]
            [$($all)* { $part $name same () }]
            { $(#[$m])* #[serde(default,
                    skip_serializing_if = "crate::core::document::layer::Layer::is_unset")]
                pub $name: $ty, }
            ; $($rest)*
        }
    };
    // `name: Fields => Block,`
    ($head:tt $part:ident $req:tt $own:tt $shared:tt [$($eff:tt)*] [$($all:tt)*] ;
        $(#[$m:meta])* $name:ident : $fields:ty => $block:ty, $($rest:tt)*) => {
        $crate::core::document::layer::push! {
            $head $part $req $own $shared
            [$($eff)* $(#[$m])* pub $name: $block,]
            [$($all)* { $part $name nested () }]
            { $(#[$m])* #[serde(default,
                    skip_serializing_if = "crate::core::document::layer::Layer::is_unset")]
                pub $name: $fields, }
            ; $($rest)*
        }
    };
    // `name: Type,`
    ($head:tt own [$($req:tt)*] $own:tt $shared:tt [$($eff:tt)*] [$($all:tt)*] ;
        $(#[$m:meta])* $name:ident : $ty:ty, $($rest:tt)*) => {
        $crate::core::document::layer::munch! {
            $head own [$($req)* $(#[$m])* pub $name: $ty,] $own $shared
            [$($eff)* $(#[$m])* pub $name: $ty,]
            [$($all)* { required $name same () }]
            ; $($rest)*
        }
    };
    ({ block [$($meta:tt)*] $fields:ident $same:ident $block:ident } shared [] []
        [$($shared:tt)*] [$($eff:tt)*] [$({ $part:ident $name:ident $mode:ident $default:tt })*]
        ; ) => {
        $($meta)*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize,
                 schemars::JsonSchema, bitcode::Encode, bitcode::Decode)]
        #[serde(deny_unknown_fields)]
        pub struct $fields { $($shared)* }

        $($meta)*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $block { $($eff)* }

        impl $crate::core::document::layer::Layer for $fields {
            fn is_unset(&self) -> bool {
                true $(&& $crate::core::document::layer::Layer::is_unset(&self.$name))*
            }

            fn fill(&mut self, defaults: &Self) {
                $($crate::core::document::layer::Layer::fill(&mut self.$name, &defaults.$name);)*
            }
        }

        impl $fields {
            pub(crate) fn resolve(
                self,
            ) -> Result<$block, $crate::core::document::layer::Missing> {
                Ok($block {
                    $($name: $crate::core::document::layer::effective!(
                        $mode, self.$name, $name, $default
                    ),)*
                })
            }
        }
    };
    ({ kind [$($meta:tt)*] $document:ident $defaults:ident $kind:ident } shared
        [$($req:tt)*] [$($own:tt)*] [$($shared:tt)*] [$($eff:tt)*]
        [$({ $part:ident $name:ident $mode:ident $default:tt })*] ; ) => {
        $($meta)*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize,
                 schemars::JsonSchema, bitcode::Encode, bitcode::Decode)]
        #[serde(deny_unknown_fields)]
        pub struct $document { $($req)* $($own)* $($shared)* }

        /// What the fleet lays under every document of the kind: any of its settings except
        /// those that make it this one.
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize,
                 schemars::JsonSchema, bitcode::Encode, bitcode::Decode)]
        #[serde(deny_unknown_fields)]
        pub struct $defaults { $($shared)* }

        $($meta)*
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        pub struct $kind { $($eff)* }

        impl $crate::core::document::layer::Layer for $defaults {
            fn is_unset(&self) -> bool {
                true $(&& $crate::core::document::layer::when_shared!(
                    $part, $crate::core::document::layer::Layer::is_unset(&self.$name), true
                ))*
            }

            fn fill(&mut self, defaults: &Self) {
                let Self { .. } = defaults;
                $($crate::core::document::layer::when_shared!(
                    $part,
                    $crate::core::document::layer::Layer::fill(
                        &mut self.$name, &defaults.$name
                    ),
                    ()
                );)*
            }
        }

        impl $document {
            /// Takes from the fleet's defaults what is not written in the document.
            pub(crate) fn fill(&mut self, defaults: &$defaults) {
                let $defaults { .. } = defaults;
                $($crate::core::document::layer::when_shared!(
                    $part,
                    $crate::core::document::layer::Layer::fill(
                        &mut self.$name, &defaults.$name
                    ),
                    ()
                );)*
            }

            pub(crate) fn resolve(
                self,
            ) -> Result<$kind, $crate::core::document::layer::Missing> {
                Ok($kind {
                    $($name: $crate::core::document::layer::effective!(
                        $mode, self.$name, $name, $default
                    ),)*
                })
            }
        }
    };
}

/// Puts a written field into the list of the part that it stands in.
macro_rules! push {
    ($head:tt own $req:tt [$($own:tt)*] $shared:tt $eff:tt $all:tt { $($field:tt)* } ;
        $($rest:tt)*) => {
        $crate::core::document::layer::munch! {
            $head own $req [$($own)* $($field)*] $shared $eff $all ; $($rest)*
        }
    };
    ($head:tt shared $req:tt $own:tt [$($shared:tt)*] $eff:tt $all:tt { $($field:tt)* } ;
        $($rest:tt)*) => {
        $crate::core::document::layer::munch! {
            $head shared $req $own [$($shared)* $($field)*] $eff $all ; $($rest)*
        }
    };
}

/// The effective value of one field.
macro_rules! effective {
    (same, $value:expr, $name:ident, ()) => {
        $value
    };
    (default, $value:expr, $name:ident, ($default:expr)) => {
        $value.unwrap_or_else(|| $default)
    };
    (needed, $value:expr, $name:ident, ()) => {
        $value.ok_or_else(|| $crate::core::document::layer::Missing::field(stringify!($name)))?
    };
    (nested, $value:expr, $name:ident, ()) => {
        $value
            .resolve()
            .map_err(|missing| missing.within(stringify!($name)))?
    };
}

macro_rules! when_shared {
    (shared, $yes:expr, $no:expr) => {
        $yes
    };
    (own, $yes:expr, $no:expr) => {
        $no
    };
    (required, $yes:expr, $no:expr) => {
        $no
    };
}

pub(crate) use {block, effective, kind, munch, push, when_shared};
