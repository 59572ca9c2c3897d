//! serde's side: what a type asks for is looked for in the text.

use super::error::Error;
use super::text::{Number, Reader};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

type Result<T> = std::result::Result<T, Error>;

impl Reader<'_> {
    /// The number here, for which nothing else can stand.
    fn wanted<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        if let Some(b'-' | b'0'..=b'9') = self.peek() {
            match self.number()? {
                Number::Unsigned(value) => visitor.visit_u64(value),
                Number::Negative(value) => visitor.visit_i64(value),
                Number::Other => Err(Error::kind(Unexpected::Float(0.0), &visitor)),
            }
        } else {
            Err(self.unexpected(&visitor))
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.wanted(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b'n') => self.deserialize_unit(visitor),
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(b'"') => self.deserialize_str(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'{') => self.deserialize_map(visitor),
            _ => self.wanted(visitor),
        }
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b't' | b'f') => visitor.visit_bool(self.boolean()?),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b'"') => visitor.visit_string(self.string()?),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b'n') => {
                self.null()?;
                visitor.visit_unit()
            }
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.peek() {
            Some(b'n') => {
                self.null()?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek() != Some(b'[') {
            return Err(self.unexpected(&visitor));
        }
        self.open()?;
        let value = visitor.visit_seq(Members::of(self))?;
        self.close(b']')?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.peek() != Some(b'{') {
            return Err(self.unexpected(&visitor));
        }
        self.open()?;
        let value = visitor.visit_map(Members::of(self))?;
        self.close(b'}')?;
        Ok(value)
    }

    /// An object only: a list would be all of the derived code a second time.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if self.peek() != Some(b'{') {
            return Err(self.unexpected(&visitor));
        }
        self.open()?;
        let value = visitor.visit_map(Fields {
            members: Members::of(self),
            known: fields,
        })?;
        self.close(b'}')?;
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.peek() {
            Some(b'"') => visitor.visit_enum(Variant {
                reader: self,
                known: variants,
                bare: true,
            }),
            Some(b'{') => {
                self.open()?;
                let value = visitor.visit_enum(Variant {
                    reader: &mut *self,
                    known: variants,
                    bare: false,
                })?;
                self.close(b'}')?;
                Ok(value)
            }
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 f32 f64 char bytes byte_buf unit_struct tuple_struct }
}

/// What stands in a list or an object.
struct Members<'r, 't> {
    reader: &'r mut Reader<'t>,
    first: bool,
}

impl<'r, 't> Members<'r, 't> {
    fn of(reader: &'r mut Reader<'t>) -> Members<'r, 't> {
        Members { reader, first: true }
    }

    fn more(&mut self, end: u8) -> Result<bool> {
        let first = std::mem::replace(&mut self.first, false);
        self.reader.more(end, first)
    }
}

impl<'de> SeqAccess<'de> for Members<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match self.more(b']')? {
            true => seed.deserialize(&mut *self.reader).map(Some),
            false => Ok(None),
        }
    }
}

impl<'de> MapAccess<'de> for Members<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        match self.more(b'}')? {
            true => seed.deserialize(&mut *self.reader).map(Some),
            false => Ok(None),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.reader.colon()?;
        seed.deserialize(&mut *self.reader)
    }
}

/// What stands in an object that is a struct. serde also knows a field by its number, which is found here for all of them; else
/// the names would be compared in the code of each.
struct Fields<'r, 't> {
    members: Members<'r, 't>,
    known: &'static [&'static str],
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.members.more(b'}')? {
            return Ok(None);
        }
        let number = self.members.reader.number_of(self.known)?;
        match seed.deserialize(number) {
            Ok(key) => Ok(Some(key)),
            Err(_) => Err(Error::unknown_field(&self.members.reader.unknown, self.known)),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        self.members.next_value_seed(seed)
    }
}

/// A variant of an enum: its name alone, or an object of its name and what it holds.
struct Variant<'r, 't> {
    reader: &'r mut Reader<'t>,
    known: &'static [&'static str],
    bare: bool,
}

impl Variant<'_, '_> {
    fn inside(&mut self) -> Result<()> {
        match self.bare {
            true => Err(Error::new("invalid type: a word, expected a variant with contents")),
            false => self.reader.colon(),
        }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let number = self.reader.number_of(self.known)?;
        match seed.deserialize(number) {
            Ok(variant) => Ok((variant, self)),
            Err(_) => Err(Error::unknown_variant(&self.reader.unknown, self.known)),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Error;

    fn unit_variant(mut self) -> Result<()> {
        if self.bare {
            return Ok(());
        }
        self.inside()?;
        self.reader.null()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value> {
        self.inside()?;
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, _len: usize, visitor: V) -> Result<V::Value> {
        self.inside()?;
        self.reader.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(mut self, fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.inside()?;
        self.reader.deserialize_struct("", fields, visitor)
    }
}
