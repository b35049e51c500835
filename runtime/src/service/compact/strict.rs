//! Writes MessagePack with structs as lists, and refuses structs that leave out fields: their readers would take each
//! field for the next. Everything passes through to the writer behind; all that is added is a count of fields.

use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// Writes a value behind what is in the buffer.
///
/// # Errors
/// It cannot be compact, or not be written at all. Part of it may be in the buffer.
pub(in super::super) fn write<T: Serialize + ?Sized>(
    value: &T,
    into: &mut Vec<u8>,
) -> Result<(), rmp_serde::encode::Error> {
    value.serialize(Strict(&mut rmp_serde::Serializer::new(into)))
}

struct Strict<S>(S);

/// A value within another.
struct Within<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Within<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Strict(serializer))
    }
}

macro_rules! pass_on {
    ($($method:ident: $kind:ty,)*) => {
        $(
            #[inline]
            fn $method(self, value: $kind) -> Result<S::Ok, S::Error> {
                self.0.$method(value)
            }
        )*
    };
}

impl<S: Serializer> Serializer for Strict<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Parts<S::SerializeSeq>;
    type SerializeTuple = Parts<S::SerializeTuple>;
    type SerializeTupleStruct = Parts<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Parts<S::SerializeTupleVariant>;
    type SerializeMap = Parts<S::SerializeMap>;
    type SerializeStruct = Fields<S::SerializeStruct>;
    type SerializeStructVariant = Fields<S::SerializeStructVariant>;

    pass_on! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Within(value))
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Within(value))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &Within(value))
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(len).map(Parts)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(len).map(Parts)
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, len).map(Parts)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.0.serialize_tuple_variant(name, index, variant, len).map(Parts)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(len).map(Parts)
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Fields { parts: self.0.serialize_struct(name, len)?, name, left: len })
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let parts = self.0.serialize_struct_variant(name, index, variant, len)?;
        Ok(Fields { parts, name: variant, left: len })
    }
}

/// What is in a list or map.
struct Parts<C>(C);

macro_rules! parts {
    ($($kind:ident: $method:ident,)*) => {
        $(
            impl<C: $kind> $kind for Parts<C> {
                type Ok = C::Ok;
                type Error = C::Error;

                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                    self.0.$method(&Within(value))
                }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.0.end()
                }
            }
        )*
    };
}

parts! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

impl<C: SerializeMap> SerializeMap for Parts<C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.0.serialize_key(&Within(key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.0.serialize_value(&Within(value))
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.0.end()
    }
}

/// The fields of a struct.
struct Fields<C> {
    parts: C,
    name: &'static str,
    /// How many are still to come; what is more than was announced goes round.
    left: usize,
}

macro_rules! fields {
    ($($kind:ident,)*) => {
        $(
            impl<C: $kind> $kind for Fields<C> {
                type Ok = C::Ok;
                type Error = C::Error;

                #[inline]
                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    key: &'static str,
                    value: &T,
                ) -> Result<(), C::Error> {
                    self.left = self.left.wrapping_sub(1);
                    self.parts.serialize_field(key, &Within(value))
                }

                #[cold]
                fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                    Err(C::Error::custom(format_args!("`{key}` of `{}` is left out", self.name)))
                }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    if self.left != 0 {
                        let name = self.name;
                        return Err(C::Error::custom(format_args!(
                            "`{name}` has not as many fields as it announced"
                        )));
                    }
                    self.parts.end()
                }
            }
        )*
    };
}

fields! {
    SerializeStruct,
    SerializeStructVariant,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
        let mut bytes = b"before".to_vec();
        write(value, &mut bytes).map_err(|e| e.to_string())?;
        assert_eq!(bytes[..6], *b"before");
        Ok(bytes[6..].to_vec())
    }

    #[derive(Serialize)]
    enum Part {
        Unit,
        Pair(u8, Option<char>),
        Named { a: i8, b: Vec<Part> },
        One(Box<Part>),
    }

    #[derive(Serialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<u8>,
        second: u8,
    }

    #[test]
    fn what_leaves_nothing_out_is_written_as_the_library_does() {
        let parts = vec![
            Part::Unit,
            Part::Pair(1, None),
            Part::One(Box::new(Part::Named { a: -1, b: vec![Part::Pair(200, Some('ü'))] })),
        ];
        let value =
            (parts, f32::NAN, 1.5, (), "text", u128::MAX, std::collections::BTreeMap::from([(1, [true])]));
        assert_eq!(written(&value), Ok(rmp_serde::to_vec(&value).expect("it packs")));
        let whole = Sparse { first: Some(1), second: 2 };
        assert_eq!(written(&whole), Ok(vec![0x92, 1, 2]));
    }

    #[test]
    fn a_struct_that_leaves_a_field_out_is_refused_wherever_it_is() {
        let sparse = || Sparse { first: None, second: 2 };
        let refused = Err("`first` of `Sparse` is left out".into());
        assert_eq!(written(&sparse()), refused);
        assert_eq!(written(&vec![Some(sparse())]), refused);
        assert_eq!(written(&std::collections::BTreeMap::from([("key", (1, sparse()))])), refused);
        assert_eq!(written(&Ok::<_, ()>(sparse())), refused);
    }

    struct Liar(usize);

    impl Serialize for Liar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut fields = serializer.serialize_struct("Liar", 1)?;
            for _ in 0..self.0 {
                fields.serialize_field("a", &1)?;
            }
            fields.end()
        }
    }

    #[test]
    fn a_struct_that_announces_another_number_of_fields_is_refused() {
        for fields in [0, 2] {
            let refused = written(&Liar(fields)).expect_err("a lie");
            assert!(refused.contains("`Liar`"), "{refused}");
        }
        assert_eq!(written(&Liar(1)), Ok(vec![0x91, 1]));
    }
}
