//! What values weigh: the byte bound of mailboxes sees behind pointers where a type says what is there.

use indexmap::{IndexMap, IndexSet};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Heap bytes behind a value, for the byte bound of mailboxes. `#[derive(Weigh)]` asks each field.
///
/// An estimate: capacity slack is not counted, nor what a container spends beside its elements. What is shared
/// ([`Arc`]) counts in full wherever it lies: the bound must hold for the last one who keeps it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it weighs",
    note = "add `#[derive(Weigh)]` to it"
)]
pub trait Weigh {
    /// Bytes on the heap.
    fn heap(&self) -> usize {
        0
    }
}

macro_rules! flat { ($($t:ty),* $(,)?) => { $(impl Weigh for $t {})* } }
flat!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char, ());
flat!(str, &str, Duration, uuid::Uuid, std::convert::Infallible, super::Never);
flat!(IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6);
impl<T: ?Sized> Weigh for PhantomData<T> {}

macro_rules! nonzero { ($($t:ty),*) => { $(impl Weigh for NonZero<$t> {})* } }
nonzero!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

impl Weigh for String {
    fn heap(&self) -> usize {
        self.len()
    }
}

impl Weigh for bytes::Bytes {
    fn heap(&self) -> usize {
        self.len()
    }
}

impl Weigh for PathBuf {
    fn heap(&self) -> usize {
        self.as_os_str().len()
    }
}

impl<T: Weigh> Weigh for [T] {
    fn heap(&self) -> usize {
        self.iter().map(Weigh::heap).sum()
    }
}

impl<T: Weigh, const N: usize> Weigh for [T; N] {
    fn heap(&self) -> usize {
        self.as_slice().heap()
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn heap(&self) -> usize {
        size_of_val(self.as_slice()) + self.as_slice().heap()
    }
}

impl<T: Weigh + ?Sized> Weigh for Box<T> {
    fn heap(&self) -> usize {
        size_of_val::<T>(self) + (**self).heap()
    }
}

impl<T: Weigh + ?Sized> Weigh for Arc<T> {
    fn heap(&self) -> usize {
        size_of_val::<T>(self) + (**self).heap()
    }
}

/// What is borrowed lies elsewhere.
impl<T: ToOwned<Owned: Weigh> + ?Sized> Weigh for Cow<'_, T> {
    fn heap(&self) -> usize {
        match self {
            Self::Borrowed(_) => 0,
            Self::Owned(owned) => owned.heap(),
        }
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, Weigh::heap)
    }
}

impl<T: Weigh, E: Weigh> Weigh for Result<T, E> {
    fn heap(&self) -> usize {
        match self {
            Ok(value) => value.heap(),
            Err(error) => error.heap(),
        }
    }
}

macro_rules! tuples { ($(($($name:ident),+)),* $(,)?) => { $(
    impl<$($name: Weigh),+> Weigh for ($($name,)+) {
        fn heap(&self) -> usize {
            #[allow(non_snake_case, reason = "the types' names serve for the values too")]
            let ($($name,)+) = self;
            0 $(+ $name.heap())+
        }
    }
)* } }
tuples!((A), (A, B), (A, B, C), (A, B, C, D), (A, B, C, D, E), (A, B, C, D, E, F));

macro_rules! sets { ($($t:ty: [$($generics:tt)*]),* $(,)?) => { $(
    impl<$($generics)*> Weigh for $t {
        fn heap(&self) -> usize {
            self.iter().map(|value| size_of_val(value) + value.heap()).sum()
        }
    }
)* } }
sets!(
    VecDeque<T>: [T: Weigh],
    LinkedList<T>: [T: Weigh],
    BinaryHeap<T>: [T: Weigh],
    BTreeSet<T>: [T: Weigh],
    HashSet<T, S>: [T: Weigh, S],
    IndexSet<T, S>: [T: Weigh, S],
);

macro_rules! maps { ($($t:ty: [$($generics:tt)*]),* $(,)?) => { $(
    impl<$($generics)*> Weigh for $t {
        fn heap(&self) -> usize {
            self.iter().map(|(key, value)| size_of::<(K, V)>() + key.heap() + value.heap()).sum()
        }
    }
)* } }
maps!(
    BTreeMap<K, V>: [K: Weigh, V: Weigh],
    HashMap<K, V, S>: [K: Weigh, V: Weigh, S],
    IndexMap<K, V, S>: [K: Weigh, V: Weigh, S],
);

impl Weigh for serde_json::Value {
    fn heap(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::String(text) => text.heap(),
            Self::Array(values) => values.heap(),
            Self::Object(fields) => fields
                .iter()
                .map(|(name, value)| size_of::<(String, Self)>() + name.len() + value.heap())
                .sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn text() -> String {
        "four".into()
    }

    #[test]
    fn what_lies_in_place_weighs_nothing() {
        assert_eq!(7_u64.heap() + 'x'.heap() + ().heap() + "static".heap() + Duration::MAX.heap(), 0);
        assert_eq!([1_u8; 4].heap() + (1, 2.0, false).heap() + Some(3).heap() + None::<String>.heap(), 0);
        assert_eq!(NonZero::<u8>::MIN.heap() + PhantomData::<String>.heap(), 0);
    }

    #[test]
    fn a_text_weighs_its_bytes() {
        assert_eq!(
            (text().heap(), bytes::Bytes::from("four").heap(), PathBuf::from("four").heap()),
            (4, 4, 4)
        );
        assert_eq!((Box::<str>::from("four").heap(), Arc::<str>::from("four").heap()), (4, 4));
        assert_eq!((Cow::Borrowed("four").heap(), Cow::<str>::Owned(text()).heap()), (0, 4));
    }

    #[test]
    fn a_pointer_weighs_what_it_points_to_and_what_is_behind_that() {
        assert_eq!(
            (Box::new(text()).heap(), Arc::new(text()).heap()),
            (size_of::<String>() + 4, size_of::<String>() + 4)
        );
        assert_eq!(Box::<[u32]>::from([1, 2]).heap(), 8);
        assert_eq!((Ok::<_, String>(Box::new(1_u64)).heap(), Err::<Box<u64>, _>(text()).heap()), (8, 4));
    }

    #[test]
    fn a_container_weighs_its_elements_and_what_is_behind_them() {
        let one = size_of::<String>() + 4;
        assert_eq!(vec![text(), text()].heap(), 2 * one);
        assert_eq!([text(), text()].heap(), 8);
        assert_eq!((text(), 1, text(), 2, text(), 3).heap(), 12);
        assert_eq!((VecDeque::from([text()]).heap(), LinkedList::from([text()]).heap()), (one, one));
        assert_eq!((BTreeSet::from([text()]).heap(), HashSet::from([text()]).heap()), (one, one));
        assert_eq!((BinaryHeap::from([text()]).heap(), IndexSet::from([text()]).heap()), (one, one));
        let pair = size_of::<(String, u8)>() + 4;
        let (tree, hash, index) = (
            BTreeMap::from([(text(), 1_u8)]),
            HashMap::from([(text(), 1_u8)]),
            IndexMap::from([(text(), 1_u8)]),
        );
        assert_eq!((tree.heap(), hash.heap(), index.heap()), (pair, pair, pair));
    }

    #[test]
    fn json_weighs_its_texts_lists_and_objects() {
        assert_eq!((json!(null).heap(), json!(1.5).heap(), json!("four").heap()), (0, 0, 4));
        assert_eq!(json!([1, "four"]).heap(), 2 * size_of::<Value>() + 4);
        assert_eq!(json!({"four": "four"}).heap(), size_of::<(String, Value)>() + 8);
    }
}
