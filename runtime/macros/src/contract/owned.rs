//! Arguments and answers travel, so they own what they hold: this names what cannot.

use crate::problems::Problems;
use syn::visit_mut::{self, VisitMut};
use syn::{Lifetime, Type};

/// Notes everything in the type that borrows, is generic, or depends on the service.
pub(crate) fn check(kind: &Type, what: &'static str, problems: &mut Problems) {
    Walk { what, problems }.visit_type_mut(&mut kind.clone());
}

struct Walk<'a> {
    what: &'static str,
    problems: &'a mut Problems,
}

impl VisitMut for Walk<'_> {
    fn visit_type_mut(&mut self, kind: &mut Type) {
        let Self { what, problems } = self;
        match kind {
            Type::Reference(reference) => {
                let inner = &reference.elem;
                let example = match &**inner {
                    Type::Path(path) if path.path.is_ident("str") => "`String` instead of `&str`",
                    Type::Slice(_) => "`Vec<T>` instead of `&[T]`",
                    _ => "the type without `&`",
                };
                let text =
                    format!("{what} may travel to another node, so it cannot be borrowed: use {example}");
                problems.add(&reference, text);
            }
            Type::ImplTrait(generic) => {
                problems.add(&generic, format!("{what} needs one owned type: write it instead of `impl`"));
            }
            Type::TraitObject(object) => {
                problems.add(&object, format!("{what} needs one owned type: write it instead of `dyn`"));
            }
            Type::Ptr(_) | Type::BareFn(_) => {
                problems.add(&kind, format!("{what} may travel to another node: use an owned type"));
            }
            Type::Infer(_) => problems.add(&kind, format!("{what} needs its type written out")),
            Type::Path(path) if path.path.segments.first().is_some_and(|s| s.ident == "Self") => {
                problems.add(&kind, format!("{what} is the same for every service: it cannot be `Self`"));
            }
            _ => visit_mut::visit_type_mut(self, kind),
        }
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        let text =
            format!("{} may travel to another node: use owned types only, without lifetimes", self.what);
        self.problems.add(lifetime, text);
    }
}
