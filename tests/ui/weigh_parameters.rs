use odeon::Weigh;

#[derive(Weigh)]
struct Pair<T>(T, T);

struct Silent;

fn weighs(_: impl Weigh) {}

fn main() {
    weighs(Pair(1, 2));
    weighs(Pair(Silent, Silent));
}
