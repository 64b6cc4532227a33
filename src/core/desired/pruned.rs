//! The fields of a resource as a map without what is empty. A document has few of the fields that its
//! kind has, so what is not there is not made first.

use serde::ser::{Error as _, Serialize, SerializeMap, SerializeStruct, Serializer};
use serde_json::value::Serializer as Plain;
use serde_json::{Error, Map, Value};

/// The map of a value, which has string keys: no `null`, and no lists or maps without members but in lists.
pub(super) fn pruned(value: &impl Serialize) -> Result<Map<String, Value>, Error> {
    match value.serialize(Pruned)? {
        Value::Object(map) => Ok(map),
        _ => Err(Error::custom("it is no map")),
    }
}

/// Makes a value; only its maps differ from those of [`Plain`].
struct Pruned;

#[derive(Default)]
struct Fields {
    map: Map<String, Value>,
    key: String,
}

impl Fields {
    fn entry(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        let value = value.serialize(Pruned)?;
        let is_empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if !is_empty {
            self.map.insert(key.to_owned(), value);
        }
        Ok(())
    }
}

impl Serializer for Pruned {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = <Plain as Serializer>::SerializeSeq;
    type SerializeTuple = <Plain as Serializer>::SerializeTuple;
    type SerializeTupleStruct = <Plain as Serializer>::SerializeTupleStruct;
    type SerializeTupleVariant = <Plain as Serializer>::SerializeTupleVariant;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = <Plain as Serializer>::SerializeStructVariant;

    fn serialize_bool(self, value: bool) -> Result<Value, Error> {
        Plain.serialize_bool(value)
    }

    fn serialize_i8(self, value: i8) -> Result<Value, Error> {
        Plain.serialize_i8(value)
    }

    fn serialize_i16(self, value: i16) -> Result<Value, Error> {
        Plain.serialize_i16(value)
    }

    fn serialize_i32(self, value: i32) -> Result<Value, Error> {
        Plain.serialize_i32(value)
    }

    fn serialize_i64(self, value: i64) -> Result<Value, Error> {
        Plain.serialize_i64(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Value, Error> {
        Plain.serialize_u8(value)
    }

    fn serialize_u16(self, value: u16) -> Result<Value, Error> {
        Plain.serialize_u16(value)
    }

    fn serialize_u32(self, value: u32) -> Result<Value, Error> {
        Plain.serialize_u32(value)
    }

    fn serialize_u64(self, value: u64) -> Result<Value, Error> {
        Plain.serialize_u64(value)
    }

    fn serialize_f32(self, value: f32) -> Result<Value, Error> {
        Plain.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<Value, Error> {
        Plain.serialize_f64(value)
    }

    fn serialize_char(self, value: char) -> Result<Value, Error> {
        Plain.serialize_char(value)
    }

    fn serialize_str(self, value: &str) -> Result<Value, Error> {
        Plain.serialize_str(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, Error> {
        Plain.serialize_bytes(value)
    }

    fn serialize_none(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<Value, Error> {
        Plain.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<Value, Error> {
        Plain.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Error> {
        let mut fields = Fields::default();
        fields.entry(variant, value)?;
        Ok(Value::Object(fields.map))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Plain.serialize_seq(length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, Error> {
        Plain.serialize_tuple(length)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Plain.serialize_tuple_struct(name, length)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Plain.serialize_tuple_variant(name, index, variant, length)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Error> {
        Ok(Fields::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Error> {
        Ok(Fields::default())
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Plain.serialize_struct_variant(name, index, variant, length)
    }
}

impl SerializeStruct for Fields {
    type Ok = Value;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.entry(key, value)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::Object(self.map))
    }
}

impl SerializeMap for Fields {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        match key.serialize(Plain)? {
            Value::String(key) => self.key = key,
            _ => return Err(Error::custom("a key is no text")),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = std::mem::take(&mut self.key);
        self.entry(&key, value)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(Value::Object(self.map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_empty_is_left_out_but_in_lists() {
        let value = json!({"a": null, "b": [], "c": {"d": {"e": []}}, "f": [{"g": null}, [], null],
            "h": false, "i": 0, "j": "", "k": {"l": 1, "m": {}}});
        let expected = json!({"f": [{"g": null}, [], null], "h": false, "i": 0, "j": "",
            "k": {"l": 1}});
        assert_eq!(pruned(&value).ok().map(Value::Object), Some(expected));
        assert!(pruned(&json!([1])).is_err());
    }
}
