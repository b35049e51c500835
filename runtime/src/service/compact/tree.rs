//! A value as MessagePack has it, but for structs, which stay what they are: with the names of their fields.

use serde::de::value::Error;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// Nothing, or an absent option.
    Nil,
    Bool(bool),
    /// Of 64 bits at the most.
    Integer(i128),
    /// Of 128 bits, in its bytes.
    Wide(i128),
    /// The bits of a float: one that is no number is still equal to itself.
    Single(u32),
    Double(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    /// In an order of its own, for the same table may come in any.
    Map(Vec<(Tree, Tree)>),
    /// A struct with its fields, in order.
    Struct {
        name: &'static str,
        fields: Vec<(&'static str, Tree)>,
    },
    /// A variant with content.
    Variant(&'static str, Box<Tree>),
}

impl Tree {
    /// Of a value.
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Tree, Error> {
        value.serialize(Writer)
    }

    /// The name of a struct in it.
    pub(super) fn a_struct(&self) -> Option<&'static str> {
        match self {
            Self::Struct { name, .. } => Some(name),
            Self::List(items) => items.iter().find_map(Self::a_struct),
            Self::Map(pairs) => pairs.iter().find_map(|(key, value)| key.a_struct().or(value.a_struct())),
            Self::Variant(_, content) => content.a_struct(),
            _ => None,
        }
    }

    fn in_variant(self, variant: Option<&'static str>) -> Tree {
        match variant {
            Some(name) => Tree::Variant(name, Box::new(self)),
            None => self,
        }
    }
}

struct Writer;

macro_rules! integers {
    ($($method:ident: $kind:ty,)*) => {
        $(fn $method(self, value: $kind) -> Result<Tree, Error> {
            Ok(Tree::Integer(value.into()))
        })*
    };
}

impl Serializer for Writer {
    type Ok = Tree;
    type Error = Error;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Pairs;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    integers! {
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<Tree, Error> {
        Ok(Tree::Bool(value))
    }

    fn serialize_i128(self, value: i128) -> Result<Tree, Error> {
        Ok(Tree::Wide(value))
    }

    fn serialize_u128(self, value: u128) -> Result<Tree, Error> {
        Ok(Tree::Wide(value.cast_signed()))
    }

    fn serialize_f32(self, value: f32) -> Result<Tree, Error> {
        Ok(Tree::Single(value.to_bits()))
    }

    fn serialize_f64(self, value: f64) -> Result<Tree, Error> {
        Ok(Tree::Double(value.to_bits()))
    }

    fn serialize_char(self, value: char) -> Result<Tree, Error> {
        Ok(Tree::Text(value.into()))
    }

    fn serialize_str(self, value: &str) -> Result<Tree, Error> {
        Ok(Tree::Text(value.into()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Tree, Error> {
        Ok(Tree::Bytes(value.into()))
    }

    fn serialize_none(self) -> Result<Tree, Error> {
        Ok(Tree::Nil)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Tree, Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Tree, Error> {
        Ok(Tree::Nil)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Tree, Error> {
        Ok(Tree::List(Vec::new()))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Tree, Error> {
        Ok(Tree::Text(variant.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Tree, Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Tree, Error> {
        Ok(value.serialize(self)?.in_variant(Some(variant)))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Error> {
        Ok(Items { variant: None, items: Vec::new() })
    }

    fn serialize_tuple(self, len: usize) -> Result<Items, Error> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Items, Error> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, Error> {
        Ok(Items { variant: Some(variant), items: Vec::new() })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Pairs, Error> {
        Ok(Pairs { pairs: Vec::new(), key: None })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields, Error> {
        Ok(Fields { variant: None, name, fields: Vec::new() })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Error> {
        Ok(Fields { variant: Some(variant), name: variant, fields: Vec::new() })
    }
}

struct Items {
    variant: Option<&'static str>,
    items: Vec<Tree>,
}

macro_rules! items {
    ($($kind:ident: $method:ident,)*) => {
        $(impl $kind for Items {
            type Ok = Tree;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.items.push(Tree::of(value)?);
                Ok(())
            }

            fn end(self) -> Result<Tree, Error> {
                Ok(Tree::List(self.items).in_variant(self.variant))
            }
        })*
    };
}

items! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

struct Pairs {
    pairs: Vec<(Tree, Tree)>,
    key: Option<Tree>,
}

impl SerializeMap for Pairs {
    type Ok = Tree;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.key = Some(Tree::of(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key =
            self.key.take().ok_or_else(|| serde::ser::Error::custom("a map has a value without a key"))?;
        self.pairs.push((key, Tree::of(value)?));
        Ok(())
    }

    fn end(mut self) -> Result<Tree, Error> {
        self.pairs.sort_by_cached_key(|(key, _)| format!("{key:?}"));
        Ok(Tree::Map(self.pairs))
    }
}

struct Fields {
    variant: Option<&'static str>,
    name: &'static str,
    fields: Vec<(&'static str, Tree)>,
}

macro_rules! fields {
    ($($kind:ident,)*) => {
        $(impl $kind for Fields {
            type Ok = Tree;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.fields.push((key, Tree::of(value)?));
                Ok(())
            }

            fn end(self) -> Result<Tree, Error> {
                Ok(Tree::Struct { name: self.name, fields: self.fields }.in_variant(self.variant))
            }
        })*
    };
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}
