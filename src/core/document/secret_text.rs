//! Finds every text of a value that begins with `secret:`, and where it is.
//!
//! It serializes the value and keeps nothing else of it, so a field that is new is looked at, too.

use std::fmt::{self, Display, Write};

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::read::Step;
use super::scalar::{SECRET_FORMAT, SECRET_PREFIX};

/// A text that begins with `secret:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretText {
    pub(crate) path: Vec<Step>,
    pub(crate) text: String,
    /// Whether a secret is looked up for it.
    pub(crate) is_reference: bool,
}

impl SecretText {
    /// The name of the secret.
    pub(crate) fn name(&self) -> &str {
        self.text.strip_prefix(SECRET_PREFIX).unwrap_or(&self.text)
    }
}

/// All of them, in the order of the fields.
pub(crate) fn find(value: &impl Serialize) -> Vec<SecretText> {
    let mut walk = Walk::default();
    // The walk fails nowhere, so nothing is passed over.
    match value.serialize(&mut walk) {
        Ok(()) | Err(fmt::Error) => walk.found,
    }
}

type Done = Result<(), fmt::Error>;

#[derive(Default)]
struct Walk {
    path: Vec<Step>,
    found: Vec<SecretText>,
    /// Within a reference.
    is_reference: bool,
}

impl Walk {
    fn below<T: Serialize + ?Sized>(&mut self, step: Step, value: &T) -> Done {
        self.path.push(step);
        let done = value.serialize(&mut *self);
        self.path.pop();
        done
    }
}

/// Takes the beginning of a text, and refuses it where that is another one.
struct Beginning<'a>(&'a str);

impl Write for Beginning<'_> {
    fn write_str(&mut self, text: &str) -> Done {
        let length = self.0.len().min(text.len());
        match self.0.as_bytes()[..length] == text.as_bytes()[..length] {
            true => self.0 = &self.0[length..],
            false => return Err(fmt::Error),
        }
        Ok(())
    }
}

macro_rules! nothing {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, _: $type) -> Done {
            Ok(())
        })+
    };
}

impl<'a> Serializer for &'a mut Walk {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = &'a mut Walk;
    type SerializeStructVariant = Self;

    nothing! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_f32: f32, serialize_f64: f64, serialize_char: char,
        serialize_bytes: &[u8], serialize_unit_struct: &'static str,
    }

    fn serialize_str(self, text: &str) -> Done {
        if text.starts_with(SECRET_PREFIX) {
            self.found.push(SecretText {
                path: self.path.clone(),
                text: text.to_owned(),
                is_reference: self.is_reference,
            });
        }
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Done {
        let mut beginning = Beginning(SECRET_PREFIX);
        match write!(beginning, "{value}") {
            Ok(()) if beginning.0.is_empty() => self.serialize_str(&value.to_string()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn serialize_none(self) -> Done {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Done {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Done {
        self.is_reference = name == SECRET_FORMAT;
        let done = value.serialize(&mut *self);
        self.is_reference = false;
        done
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.below(Step::Field(variant), value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, fmt::Error> {
        Ok(List {
            walk: self,
            index: 0,
        })
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, fmt::Error> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, fmt::Error> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<List<'a>, fmt::Error> {
        self.serialize_seq(None)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a>, fmt::Error> {
        Ok(Map {
            walk: self,
            key: String::new(),
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, fmt::Error> {
        Ok(self)
    }
}

macro_rules! fields {
    ($($trait:ident,)+) => {
        $(impl $trait for &mut Walk {
            type Ok = ();
            type Error = fmt::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Done {
                self.below(Step::Field(key), value)
            }

            fn end(self) -> Done {
                Ok(())
            }
        })+
    };
}

fields! { SerializeStruct, SerializeStructVariant, }

struct List<'a> {
    walk: &'a mut Walk,
    index: usize,
}

impl List<'_> {
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        let index = self.index;
        self.index += 1;
        self.walk.below(Step::Item(index), value)
    }
}

macro_rules! items {
    ($($trait:ident $method:ident,)+) => {
        $(impl $trait for List<'_> {
            type Ok = ();
            type Error = fmt::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                self.next(value)
            }

            fn end(self) -> Done {
                Ok(())
            }
        })+
    };
}

items! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

struct Map<'a> {
    walk: &'a mut Walk,
    key: String,
}

impl SerializeMap for Map<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.key = match serde_json::to_value(key) {
            Ok(serde_json::Value::String(key)) => key,
            Ok(key) => key.to_string(),
            Err(_) => String::new(),
        };
        // No name of anything is looked up.
        let key = self.key.clone();
        self.walk.below(Step::Entry(key.clone()), &key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        let key = std::mem::take(&mut self.key);
        self.walk.below(Step::Entry(key), value)
    }

    fn end(self) -> Done {
        Ok(())
    }
}
