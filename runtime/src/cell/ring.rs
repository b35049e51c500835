//! The queue of a lane: a ring of slots that grows by doubling.
//!
//! Why not `VecDeque`: there, growing may panic while the letter to be pushed is alive, so that the compiler keeps
//! the letter in memory to drop it in that case, and copies it in larger pieces than it was written in, for which a
//! processor must wait until the writes have left its store buffer. Here room is made first, and nothing can panic
//! between that and the letter's being written, field by field, to where it waits. It is also a word smaller.

/// A first-in-first-out queue.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    /// None, or a power of two of them. Occupied: `len` slots from `head` on, wrapping.
    slots: Box<[Option<T>]>,
    head: u32,
    len: u32,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { slots: Box::default(), head: 0, len: 0 }
    }
}

impl<T> Ring<T> {
    /// Letters in it.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many it holds without growing.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn place(&self, position: u32) -> usize {
        self.head.wrapping_add(position) as usize & self.slots.len().wrapping_sub(1)
    }

    /// Room for at least one more.
    #[inline]
    pub(crate) fn make_room(&mut self) {
        if self.len() == self.slots.len() {
            self.grow();
        }
    }

    /// Does not unwind: without memory there is no going on.
    #[cold]
    #[allow(
        improper_ctypes_definitions,
        reason = "it is called from here only; it says that this does not panic"
    )]
    extern "C" fn grow(&mut self) {
        // most cells have one message at a time
        let capacity = (self.slots.len() * 2).max(1);
        let mut slots: Vec<Option<T>> = Vec::with_capacity(capacity);
        while let Some(letter) = self.pop_front() {
            slots.push(Some(letter));
        }
        self.len = slots.len() as u32;
        self.head = 0;
        slots.resize_with(capacity, || None);
        self.slots = slots.into_boxed_slice();
    }

    #[inline(always)]
    fn put(&mut self, place: usize, letter: T) {
        match self.slots.get_mut(place) {
            // it is none: there is nothing to drop
            Some(slot) => std::mem::forget(slot.replace(letter)),
            // there is a slot: room was made before
            None => std::process::abort(),
        }
    }

    /// Puts a letter behind the others.
    #[inline(always)]
    pub(crate) fn push_back(&mut self, letter: T) {
        self.make_room();
        let place = self.place(self.len);
        self.len += 1;
        self.put(place, letter);
    }

    /// Puts a letter before the others.
    pub(crate) fn push_front(&mut self, letter: T) {
        self.make_room();
        self.head = self.head.wrapping_sub(1);
        self.len += 1;
        self.put(self.place(0), letter);
    }

    /// The next one.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.slots.get(self.place(0))?.as_ref()
    }

    /// Takes the next one.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let place = self.place(0);
        let letter = self.slots.get_mut(place)?.take()?;
        self.head = self.head.wrapping_add(1);
        self.len -= 1;
        Some(letter)
    }

    /// Takes the last one.
    pub(crate) fn pop_back(&mut self) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        let place = self.place(last);
        let letter = self.slots.get_mut(place)?.take()?;
        self.len = last;
        Some(letter)
    }

    /// Moves up to so many of the first ones of another to the end of this.
    pub(crate) fn take_from(&mut self, other: &mut Self, most: usize) {
        for _ in 0..most.min(other.len()) {
            let Some(letter) = other.pop_front() else { return };
            self.push_back(letter);
        }
    }
}
