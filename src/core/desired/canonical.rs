//! The canonical JSON of a resource straight from its value: the same bytes as those of its spec. A
//! first plan makes a digest of every resource, and maps in between take most of the time of that.

use std::borrow::Cow;

use serde::ser::{Error as _, Impossible, Serialize, Serializer};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
use serde_json::{Error, Value};

/// The canonical JSON of a value without some fields at its top, or none of one with something in it that only a spec can
/// tell.
pub(super) fn canonical(value: &impl Serialize, without: &[&str]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(4096);
    let writer = Writer {
        out: &mut out,
        without,
        prunes: true,
    };
    value.serialize(writer).ok()?;
    out.starts_with(b"{").then_some(out)
}

/// Writes one value.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Keys that are left out of this map, but not of those in it.
    without: &'a [&'a str],
    /// Whether what is empty is left out of maps; entries of lists keep what they say.
    prunes: bool,
}

/// Writes a map in the order of its keys.
struct Fields<'a> {
    writer: Writer<'a>,
    begin: usize,
    /// Each key with the place of what is written of it.
    entries: Vec<(Cow<'static, str>, std::ops::Range<usize>)>,
    key: String,
}

struct Items<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Fields<'_> {
    fn entry(
        &mut self,
        key: Cow<'static, str>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        if self.writer.without.contains(&&*key) {
            return Ok(());
        }
        let begin = self.writer.out.len();
        serde_json::to_writer(&mut *self.writer.out, &*key)?;
        self.writer.out.push(b':');
        let at = self.writer.out.len();
        value.serialize(Writer {
            out: &mut *self.writer.out,
            without: &[],
            prunes: self.writer.prunes,
        })?;
        let written = &self.writer.out[at..];
        if self.writer.prunes && matches!(written, b"null" | b"[]" | b"{}") {
            self.writer.out.truncate(begin);
        } else {
            let end = self.writer.out.len();
            self.entries.push((key, begin..end));
        }
        Ok(())
    }

    fn finish(mut self) {
        self.entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let out = self.writer.out;
        let written = out.split_off(self.begin);
        out.push(b'{');
        for (index, (_, place)) in self.entries.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&written[place.start - self.begin..place.end - self.begin]);
        }
        out.push(b'}');
    }
}

impl<'a> Writer<'a> {
    fn scalar(self, value: impl Serialize) -> Result<(), Error> {
        serde_json::to_writer(self.out, &value)
    }

    fn fields(self) -> Fields<'a> {
        Fields {
            begin: self.out.len(),
            writer: self,
            entries: Vec::with_capacity(24),
            key: String::new(),
        }
    }

    fn items(self) -> Items<'a> {
        self.out.push(b'[');
        Items {
            out: self.out,
            is_first: true,
        }
    }
}

fn unknown<T>(what: &str) -> Result<T, Error> {
    Err(Error::custom(what))
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_f32(self, _: f32) -> Result<(), Error> {
        unknown("a float")
    }

    fn serialize_f64(self, _: f64) -> Result<(), Error> {
        unknown("a float")
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.scalar(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        unknown("bytes")
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.scalar(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        unknown("a variant with a value")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(self.items())
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.items())
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        unknown("a tuple with a name")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        unknown("a variant with values")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, Error> {
        Ok(self.fields())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, Error> {
        Ok(self.fields())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        unknown("a variant with fields")
    }
}

impl SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.entry(Cow::Borrowed(key), value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        match serde_json::to_value(key)? {
            Value::String(key) => self.key = key,
            _ => return unknown("a key that is no text"),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = std::mem::take(&mut self.key);
        self.entry(Cow::Owned(key), value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}

impl Items<'_> {
    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        value.serialize(Writer {
            out: &mut *self.out,
            without: &[],
            prunes: false,
        })
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.out.push(b']');
        Ok(())
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.out.push(b']');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_what_is_empty_is_left_out_but_in_lists() {
        let value = json!({"z\"": 1, "kind": "Node", "a": {"ä": "\u{1}\n", "c": {"d": null}},
            "b": [{"g": null, "f": []}, [], null], "moved": {"kind": 1}, "defaults": {"a": 1},
            "m": {"kind": true, "a-b": 0, "a": -1}, "n": null, "l": []});
        let without = ["kind", "moved", "defaults"];
        let json = canonical(&value, &without).map(String::from_utf8);
        let expected = r#"{"a":{"ä":"\u0001\n"},"b":[{"f":[],"g":null},[],null],"m":{"a":-1,"a-b":0,"kind":true},"z\"":1}"#;
        assert_eq!(json, Some(Ok(expected.to_owned())));
        // A spec tells those.
        assert_eq!(canonical(&json!({"a": 0.5}), &[]), None);
        assert_eq!(canonical(&json!([1]), &[]), None);
    }
}
