//! Reads a type from a [`Tree`] as it would from MessagePack, and fails where a struct is not read as the struct that
//! was written: there a list of its fields could be taken for something else. It also fails where a type looks at what
//! is there before it knows what it wants: structs may be among what it looks for, even if no sample has one.

use super::tree::Tree;
use serde::de::value::{Error, MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, SeqAccess, VariantAccess,
    Visitor,
};

/// Gives one to the visitor as it is, whatever the visitor hoped for.
fn visit<'de, V: Visitor<'de>>(tree: &'de Tree, visitor: V) -> Result<V::Value, Error> {
    match tree {
        Tree::Nil => visitor.visit_unit(),
        Tree::Bool(value) => visitor.visit_bool(*value),
        Tree::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
            (Ok(value), _) => visitor.visit_u64(value),
            (_, Ok(value)) => visitor.visit_i64(value),
            _ => Err(Error::custom("an integer of more than 64 bits")),
        },
        Tree::Wide(value) => visitor.visit_bytes(&value.to_be_bytes()),
        Tree::Single(bits) => visitor.visit_f32(f32::from_bits(*bits)),
        Tree::Double(bits) => visitor.visit_f64(f64::from_bits(*bits)),
        Tree::Text(text) => visitor.visit_borrowed_str(text),
        Tree::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
        Tree::List(items) => visit_all(items, visitor),
        Tree::Map(pairs) => {
            let mut pairs = MapDeserializer::new(pairs.iter().map(|(key, value)| (key, value)));
            let value = visitor.visit_map(&mut pairs)?;
            pairs.end()?;
            Ok(value)
        }
        Tree::Struct { .. } => Err(by_form(tree)),
        Tree::Variant(name, content) => {
            let mut pair = MapDeserializer::new(std::iter::once((*name, &**content)));
            let value = visitor.visit_map(&mut pair)?;
            pair.end()?;
            Ok(value)
        }
    }
}

fn visit_all<'de, V: Visitor<'de>>(items: &'de [Tree], visitor: V) -> Result<V::Value, Error> {
    let mut items = SeqDeserializer::new(items.iter());
    let value = visitor.visit_seq(&mut items)?;
    items.end()?;
    Ok(value)
}

fn by_form(tree: &Tree) -> Error {
    let what = tree.a_struct().map_or_else(|| "a value".into(), |name| format!("`{name}`"));
    Error::custom(format_args!(
        "{what} is read by its form, not by its type, as untagged, internally tagged and flattened types are"
    ))
}

/// Gives a struct to a visitor that asks for one with these fields (and for other names of the same fields).
fn visit_struct<'de, V: Visitor<'de>>(
    tree: &'de Tree,
    asked: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, Error> {
    let Tree::Struct { name, fields } = tree else { return visit(tree, visitor) };
    let mut names = asked.iter();
    if let Some((field, _)) = fields.iter().find(|(field, _)| !names.any(|name| name == field)) {
        return Err(Error::custom(format_args!(
            "`{field}` of `{name}` is written, but not read under that name at that place"
        )));
    }
    let mut given = Given { fields: fields.iter(), beyond: false };
    let value = visitor.visit_seq(&mut given);
    if given.beyond {
        return Err(Error::custom(format_args!("`{name}` is read with more fields than it is written with")));
    }
    let value = value?;
    match given.fields.next() {
        None => Ok(value),
        Some((field, _)) => {
            Err(Error::custom(format_args!("`{field}` of `{name}` is written, but not read")))
        }
    }
}

/// The fields of a struct, one after the other.
struct Given<'de> {
    fields: std::slice::Iter<'de, (&'static str, Tree)>,
    /// Whether more were asked for than there are.
    beyond: bool,
}

impl<'de> SeqAccess<'de> for Given<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((name, field)) = self.fields.next() else {
            self.beyond = true;
            return Ok(None);
        };
        // so that the problem tells its place
        seed.deserialize(field).map(Some).map_err(|problem| Error::custom(format_args!("{name}: {problem}")))
    }
}

impl<'de> IntoDeserializer<'de, Error> for &'de Tree {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! by_type {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visit(self, visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &'de Tree {
    type Error = Error;

    by_type! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_map deserialize_identifier
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(by_form(self))
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Wide(value) => visitor.visit_i128(*value),
            _ => visit(self, visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Wide(value) => visitor.visit_u128(value.cast_unsigned()),
            _ => visit(self, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if *self == Tree::Nil { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Tree::List(items) if items.is_empty() => visitor.visit_unit(),
            _ => visit(self, visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Tree::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            _ => visit(self, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visit_struct(self, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Tree::Text(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            Tree::Variant(name, content) => visitor.visit_enum(Variant { name, content }),
            _ => Err(Error::custom("an enum is not written as one")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct Variant<'de> {
    name: &'static str,
    content: &'de Tree,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if *self.content == Tree::Nil { Ok(()) } else { Err(Error::custom("a variant with content")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.content)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.content.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visit_struct(self.content, fields, visitor)
    }
}
