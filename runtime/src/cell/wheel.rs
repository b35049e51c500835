//! Deadlines of a node: a hashed timing wheel (Varghese and Lauck, scheme 6) for each executor, whose entries wake a
//! task. One task of each executor sleeps until the earliest of its own; adding and removing an entry touch no timer
//! of the executor. So a handler that blocks its executor holds up no deadline of those on others.

mod look;

pub(crate) use look::Pending;

use super::Tick;
use parking_lot::Mutex;
use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Buckets of a shard; with [`BUCKET_SHIFT`] one turn of the wheel takes 2.1 s. Later entries stay for the next.
const BUCKETS: usize = 512;
/// Ticks of a bucket, as a shift: 4.2 ms.
const BUCKET_SHIFT: u32 = 2;
/// Most shards of a wheel. Further executors have none of their own.
const SHARDS_MAX: usize = 256;
/// The end of a list.
const NIL: u32 = u32::MAX;
/// One tick.
const TICK: Duration = Duration::from_nanos(1 << 20);

thread_local! {
    /// The shard that was turned last on this thread, and the beginning of its wheel, which tells wheels apart. It
    /// never decides which entry fires, only who looks at it: a thread that turns several shards may take any of
    /// them, because what blocks it blocks them all.
    static HOME: Cell<Option<(Instant, usize)>> = const { Cell::new(None) };
}

/// An entry of the wheel.
#[derive(Debug)]
pub(crate) struct Key {
    /// The upper bits name the shard.
    index: u32,
    /// Counts the uses of the entry. Zero means no entry.
    generation: u32,
}

impl Key {
    /// No entry.
    pub(crate) const NONE: Key = Key { index: 0, generation: 0 };

    /// Whether this is no entry.
    pub(crate) fn is_none(&self) -> bool {
        self.generation == 0
    }
}

struct Entry {
    due: Tick,
    generation: u32,
    previous: u32,
    /// The next of its bucket, or of the free list.
    next: u32,
    waker: Option<Waker>,
}

#[derive(Clone, Copy)]
struct Bucket {
    head: u32,
    /// No entry is due before this; an entry that was removed may have been.
    earliest: Tick,
}

/// One lock's part of the entries. A slab, linked by indices.
struct Shard {
    entries: Vec<Entry>,
    free: u32,
    buckets: Vec<Bucket>,
    pending: usize,
    /// Most entries: what a key can name.
    slots_max: u32,
    /// When its task will look at this shard at the latest; never, if it will not by itself.
    armed: Tick,
}

fn bucket_of(due: Tick) -> usize {
    (due.raw() >> BUCKET_SHIFT) as usize % BUCKETS
}

impl Shard {
    fn new(slots_max: u32) -> Self {
        Self {
            entries: Vec::new(),
            free: NIL,
            buckets: vec![Bucket { head: NIL, earliest: Tick::NEVER }; BUCKETS],
            pending: 0,
            slots_max,
            armed: Tick::NEVER,
        }
    }

    /// The key names no shard yet.
    fn insert(&mut self, due: Tick, waker: Waker) -> Key {
        if self.free == NIL {
            self.grow();
        }
        let bucket = &mut self.buckets[bucket_of(due)];
        bucket.earliest = bucket.earliest.earlier(due);
        let (index, next) = (self.free, bucket.head);
        let entry = &mut self.entries[index as usize];
        self.free = entry.next;
        entry.due = due;
        entry.previous = NIL;
        entry.next = next;
        entry.waker = Some(waker);
        let key = Key { index, generation: entry.generation };
        bucket.head = index;
        if next != NIL {
            self.entries[next as usize].previous = index;
        }
        self.pending += 1;
        key
    }

    /// One more free slot.
    fn grow(&mut self) {
        let index = u32::try_from(self.entries.len()).ok().filter(|index| *index < self.slots_max);
        self.free = index.expect("fewer entries than a key has names for");
        let (due, waker) = (Tick::NEVER, None);
        self.entries.push(Entry { due, generation: 1, previous: NIL, next: NIL, waker });
    }

    fn is_pending(&self, index: u32, generation: u32) -> bool {
        self.entries.get(index as usize).is_some_and(|e| e.generation == generation)
    }

    /// Takes an entry out of its bucket and makes its slot free.
    fn release(&mut self, index: u32) -> Option<Waker> {
        let free = std::mem::replace(&mut self.free, index);
        let entry = &mut self.entries[index as usize];
        let (due, previous, next) = (entry.due, entry.previous, entry.next);
        entry.next = free;
        // zero means no entry
        entry.generation = entry.generation.wrapping_add(1).max(1);
        let waker = entry.waker.take();
        if previous == NIL {
            self.buckets[bucket_of(due)].head = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        if next != NIL {
            self.entries[next as usize].previous = previous;
        }
        self.pending -= 1;
        waker
    }

    /// Takes out what is due and says when to look again.
    fn turn(&mut self, now: Tick, woken: &mut Vec<Waker>) {
        if !self.armed.passed(now) {
            return;
        }
        self.armed = Tick::NEVER;
        for bucket in 0..BUCKETS {
            if self.buckets[bucket].earliest.passed(now) {
                self.turn_bucket(bucket, now, woken);
            }
            self.armed = self.armed.earlier(self.buckets[bucket].earliest);
        }
    }

    fn turn_bucket(&mut self, bucket: usize, now: Tick, woken: &mut Vec<Waker>) {
        let first = woken.len();
        let mut earliest = Tick::NEVER;
        let mut index = self.buckets[bucket].head;
        while index != NIL {
            let Entry { due, next, .. } = self.entries[index as usize];
            if due.passed(now) {
                woken.extend(self.release(index));
            } else {
                earliest = earliest.earlier(due);
            }
            index = next;
        }
        self.buckets[bucket].earliest = earliest;
        // the list has the youngest first
        woken[first..].reverse();
    }
}

/// A shard with its lock, on cache lines of its own.
#[repr(align(128))]
struct Line {
    shard: Mutex<Shard>,
    /// Something is due before the shard's task would look.
    earlier: Notify,
}

/// The deadlines of a node, and its clock.
pub struct Wheel {
    origin: Instant,
    shards: Box<[Line]>,
    /// Where the bits of a key's index begin that name the shard.
    shard_shift: u32,
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wheel").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

impl Wheel {
    /// The node's time begins now. One shard for each of so many executors; who runs [`Wheel::run`] turns it.
    pub(crate) fn new(executors: usize) -> Arc<Wheel> {
        let count = executors.clamp(1, SHARDS_MAX);
        // one bit even for a single shard: a word cannot be shifted by its whole width
        let shard_shift = u32::BITS - count.next_power_of_two().trailing_zeros().max(1);
        let line = || Line { shard: Mutex::new(Shard::new(1 << shard_shift)), earlier: Notify::new() };
        let shards = std::iter::repeat_with(line).take(count).collect();
        Arc::new(Wheel { origin: Instant::now(), shards, shard_shift })
    }

    /// How many shards want to be turned.
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Time since the node started.
    #[inline]
    pub(crate) fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The current tick.
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        Tick::at(self.elapsed())
    }

    /// The first tick that begins no earlier than this much from now; [`Tick::SPAN_MAX`] at the most.
    #[inline]
    pub(crate) fn due(&self, within: Duration) -> Tick {
        // one for rounding up, one because a tick is odd and counts from the even one before it
        Tick::at(self.elapsed() + within.min(Tick::SPAN_MAX) + 2 * TICK)
    }

    /// Ends after this time, however long it is.
    pub(crate) async fn sleep(self: &Arc<Self>, mut time: Duration) {
        while time > Tick::SPAN_MAX {
            self.sleep_until(self.due(Tick::SPAN_MAX)).await;
            time -= Tick::SPAN_MAX;
        }
        self.sleep_until(self.due(time)).await;
    }

    /// The shard of the executor that the caller runs on; the first for those who run on none.
    #[inline]
    fn home(&self) -> (&Line, usize) {
        if let Some((origin, shard)) = HOME.get()
            && origin == self.origin
            && let Some(line) = self.shards.get(shard)
        {
            return (line, shard);
        }
        (&self.shards[0], 0)
    }

    /// The shard and the slot in it that a key names.
    #[inline]
    fn place(&self, key: &Key) -> (&Line, u32) {
        let slots = (1 << self.shard_shift) - 1;
        (&self.shards[(key.index >> self.shard_shift) as usize], key.index & slots)
    }

    /// Wakes the waker once this is due.
    pub(crate) fn add(&self, due: Tick, waker: Waker) -> Key {
        let (line, number) = self.home();
        let mut shard = line.shard.lock();
        let mut key = shard.insert(due, waker);
        let earlier = shard.armed.is_never() || due.before(shard.armed);
        if earlier {
            shard.armed = due;
        }
        drop(shard);
        key.index |= (number as u32) << self.shard_shift;
        if earlier {
            line.earlier.notify_one();
        }
        key
    }

    /// Whether the entry has fired.
    #[cfg(test)]
    fn fired(&self, key: &Key) -> bool {
        let (line, slot) = self.place(key);
        !line.shard.lock().is_pending(slot, key.generation)
    }

    /// Takes the entry out, if it has not fired.
    pub(crate) fn remove(&self, key: Key) {
        let (line, slot) = self.place(&key);
        let waker = {
            let mut shard = line.shard.lock();
            if shard.is_pending(slot, key.generation) { shard.release(slot) } else { None }
        };
        // what a waker drops is none of the lock's business
        drop(waker);
    }

    /// Whether the entry has fired; if not, this waker is the one to wake.
    pub(crate) fn poll_fired(&self, key: &Key, waker: &Waker) -> bool {
        let (line, slot) = self.place(key);
        let mut shard = line.shard.lock();
        if !shard.is_pending(slot, key.generation) {
            return true;
        }
        if let Some(known) = &mut shard.entries[slot as usize].waker {
            known.clone_from(waker);
        }
        false
    }

    /// Wakes what is due in a shard; says when to come back.
    fn turn(&self, shard: usize, now: Tick) -> Tick {
        let mut woken = Vec::new();
        let next = {
            let mut shard = self.shards[shard].shard.lock();
            shard.turn(now, &mut woken);
            shard.armed
        };
        for waker in woken {
            waker.wake();
        }
        next
    }

    /// The task of an executor: wakes what is due in its shard, for ever. What is added on the thread that it runs on
    /// goes into this shard from then on.
    pub(crate) async fn run(self: Arc<Self>, shard: usize) {
        let earlier = &self.shards[shard].earlier;
        loop {
            HOME.set(Some((self.origin, shard)));
            let now = self.now();
            let next = self.turn(shard, now);
            if next.is_never() {
                earlier.notified().await;
            } else {
                let sleep = tokio::time::sleep(next.until(now).max(TICK));
                tokio::select! { biased; () = sleep => {}, () = earlier.notified() => {} }
            }
        }
    }

    /// Entries that have not fired.
    pub(crate) fn pending(&self) -> usize {
        self.shards.iter().map(|line| line.shard.lock().pending).sum()
    }

    /// Ends once this is due.
    pub(crate) fn sleep_until(self: &Arc<Self>, due: Tick) -> Sleep {
        Sleep { wheel: self.clone(), due, key: Key::NONE }
    }
}

/// Ends once its time has come. Takes itself off the wheel when dropped.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub(crate) struct Sleep {
    wheel: Arc<Wheel>,
    due: Tick,
    key: Key,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.key.is_none() {
            if self.due.passed(self.wheel.now()) {
                return Poll::Ready(());
            }
            let key = self.wheel.add(self.due, cx.waker().clone());
            self.key = key;
            return Poll::Pending;
        }
        if self.wheel.poll_fired(&self.key, cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if !self.key.is_none() {
            self.wheel.remove(std::mem::replace(&mut self.key, Key::NONE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn tick(ms: u64) -> Tick {
        Tick::at(Duration::from_millis(ms))
    }

    #[test]
    fn entries_fire_when_due_and_not_before_over_several_turns_of_the_wheel() {
        let wheel = Wheel::new(1);
        let count = Arc::new(Count::default());
        for ms in [3, 2_000, 2_001, 2_100, 10_000, 30_000] {
            wheel.add(tick(ms), count.clone().into());
        }
        let mut now = 0;
        for (ms, fired) in
            [(1, 0), (6, 1), (1_990, 1), (2_004, 3), (2_104, 4), (9_990, 4), (10_004, 5), (40_000, 6)]
        {
            let next = wheel.turn(0, tick(ms));
            assert_eq!(count.0.load(Relaxed), fired, "at {ms} ms");
            assert!(next.is_never() == (fired == 6), "at {ms} ms");
            assert!(next.is_never() || next.until(tick(now)) > Duration::ZERO);
            now = ms;
        }
        assert_eq!(wheel.pending(), 0);
    }

    #[test]
    fn a_removed_entry_does_not_fire_and_its_slot_is_used_again() {
        let wheel = Wheel::new(1);
        let count = Arc::new(Count::default());
        let first = wheel.add(tick(5), count.clone().into());
        let second = wheel.add(tick(5), count.clone().into());
        let index = first.index;
        wheel.remove(first);
        let third = wheel.add(tick(5_000), count.clone().into());
        assert_eq!(third.index, index);
        assert!(!wheel.fired(&second));
        wheel.turn(0, tick(10));
        assert_eq!(count.0.load(Relaxed), 1);
        assert!(wheel.fired(&second));
        assert!(!wheel.fired(&third));
        // a key of the past means nothing to the slot's present entry
        wheel.remove(second);
        assert_eq!(wheel.pending(), 1);
        assert_eq!(Arc::strong_count(&count), 2);
    }

    #[test]
    fn what_is_added_goes_to_the_shard_that_the_thread_turns_and_to_none_of_another_wheel() {
        let (wheel, other) = (Wheel::new(3), Wheel::new(2));
        let count = Arc::new(Count::default());
        let mut keys = vec![wheel.add(tick(5), count.clone().into())];
        for shard in 0..3 {
            HOME.set(Some((wheel.origin, shard)));
            keys.push(wheel.add(tick(5), count.clone().into()));
            keys.push(other.add(tick(5), count.clone().into()));
        }
        let shards = [0, 1, 2].map(|shard| wheel.shards[shard].shard.lock().pending);
        assert_eq!((shards, other.shards[0].shard.lock().pending), ([2, 1, 1], 3));
        // from a thread that turns another
        HOME.set(None);
        wheel.turn(1, tick(10));
        assert_eq!(count.0.load(Relaxed), 1);
        let fired: Vec<bool> = [0, 1, 3, 5].iter().map(|i| wheel.fired(&keys[*i])).collect();
        assert_eq!(fired, [false, false, true, false]);
        wheel.remove(keys.swap_remove(5));
        assert_eq!(wheel.pending(), 2);
    }

    #[test]
    fn executors_beyond_what_a_key_can_name_have_no_shard_of_their_own() {
        let wheel = Wheel::new(1_000);
        assert_eq!(wheel.shards(), SHARDS_MAX);
        let last = SHARDS_MAX - 1;
        HOME.set(Some((wheel.origin, last)));
        let key = wheel.add(tick(5), Waker::noop().clone());
        assert_eq!(wheel.shards[last].shard.lock().pending, 1);
        HOME.set(None);
        wheel.remove(key);
        assert_eq!(wheel.pending(), 0);
    }

    #[test]
    fn many_entries_of_one_bucket_come_off_in_any_order() {
        let wheel = Wheel::new(1);
        let count = Arc::new(Count::default());
        let mut keys: Vec<_> = (0..100).map(|_| wheel.add(tick(50), count.clone().into())).collect();
        for i in [99, 0, 50, 1, 40] {
            wheel.remove(keys.swap_remove(i % keys.len()));
        }
        wheel.turn(0, tick(60));
        assert_eq!(count.0.load(Relaxed), 95);
        assert!(keys.iter().all(|key| wheel.fired(key)));
    }

    #[tokio::test]
    async fn a_sleep_ends_neither_early_nor_much_late_and_leaves_nothing_when_dropped() {
        let wheel = Wheel::new(1);
        let task = tokio::runtime::Handle::current().spawn(wheel.clone().run(0));
        for ms in [0, 1, 7, 30] {
            let time = Duration::from_millis(ms);
            let began = wheel.elapsed();
            wheel.sleep_until(wheel.due(time)).await;
            let took = wheel.elapsed() - began;
            assert!(took >= time, "{took:?} of {time:?}");
            assert!(took < time + Duration::from_secs(2), "{took:?} of {time:?}");
        }
        let mut long = Box::pin(wheel.sleep_until(wheel.due(Duration::from_secs(60))));
        assert!(futures_util::poll!(long.as_mut()).is_pending());
        assert_eq!(wheel.pending(), 1);
        drop(long);
        assert_eq!(wheel.pending(), 0);
        task.abort();
    }
}
