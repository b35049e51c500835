//! `#[derive(Weigh)]`: what lies on the heap behind a type is what its fields say.

use crate::contract::{private, weighed};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields, Generics, Ident, Member, parse_quote};

/// What the derive expands to.
///
/// # Errors
/// Why the type has no fields that could be asked.
pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let DeriveInput { attrs, ident, generics, data, .. } = syn::parse2(item)?;
    if let Some(packed) = attrs.iter().find(|attribute| is_packed(attribute)) {
        let text = "the fields of a packed type cannot be asked where they lie: write `impl Weigh` by hand";
        return Err(syn::Error::new_spanned(packed, text));
    }
    let arms = match &data {
        Data::Struct(the) => vec![arm(&quote!(Self), &the.fields)],
        Data::Enum(the) => {
            let arm = |v: &syn::Variant| {
                let variant: &Ident = &v.ident;
                arm(&quote!(Self::#variant), &v.fields)
            };
            the.variants.iter().map(arm).collect()
        }
        Data::Union(the) => {
            let text =
                "which field of a union holds is not known, so none can be asked: write `impl Weigh` by hand";
            return Err(syn::Error::new_spanned(the.union_token, text));
        }
    };
    let private = private();
    let generics = bounded(generics);
    let (parameters, arguments, clause) = generics.split_for_impl();
    // a type without variants has no values: nothing is weighed
    let matched = if arms.is_empty() { quote!(*self) } else { quote!(self) };
    Ok(quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #parameters ::odeon::Weigh for #ident #arguments #clause {
            #[inline]
            fn heap(&self) -> usize {
                #[allow(unused_imports)]
                use #private::{KnownHeap as _, UnknownHeap as _};
                match #matched { #(#arms)* }
            }
        }
    })
}

fn is_packed(attribute: &syn::Attribute) -> bool {
    let mut packed = false;
    if attribute.path().is_ident("repr") {
        // what else may stand here is the compiler's business
        let _ = attribute.parse_nested_meta(|meta| {
            packed |= meta.path.is_ident("packed");
            Ok(())
        });
    }
    packed
}

/// Each type parameter weighs: what is not known of it could not be asked.
fn bounded(mut generics: Generics) -> Generics {
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::odeon::Weigh));
    }
    generics
}

/// One form of the type, with the sum of its fields.
fn arm(form: &TokenStream, fields: &Fields) -> TokenStream {
    let members = fields.members().enumerate().map(|(at, member): (usize, Member)| {
        let name = format_ident!("__{at}");
        quote!(#member: #name)
    });
    let heaps = fields.iter().enumerate().map(|(at, field)| weighed(&format_ident!("__{at}"), &field.ty));
    quote!(#form { #(#members),* } => 0usize #(+ #heaps)*,)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(item: &str) -> Result<String, String> {
        let tokens: TokenStream = item.parse().expect("tokens");
        let flat = |code: TokenStream| code.to_string().split_whitespace().collect();
        expand(tokens).map(flat).map_err(|error| error.to_string())
    }

    #[test]
    fn each_form_names_each_of_its_fields() {
        let code =
            code("enum Shape { Point, Circle(f64), Text { text: String, r#type: u8 } }").expect("fine");
        assert!(code.contains("Self::Point{}=>0usize,"), "{code}");
        assert!(code.contains("Self::Circle{0:__0}=>0usize+(&"), "{code}");
        assert!(code.contains("Self::Text{text:__0,r#type:__1}=>0usize+(&"), "{code}");
    }

    #[test]
    fn type_parameters_weigh_and_what_else_bounds_them_stays() {
        let code = code("struct Many<'a, T: Ord = u8, const N: usize = 1>(&'a [T; N]) where T: Copy;")
            .expect("fine");
        let head = "impl<'a,T:Ord+::odeon::Weigh,constN:usize>::odeon::WeighforMany<'a,T,N>whereT:Copy{";
        assert!(code.contains(head), "{code}");
    }

    #[test]
    fn what_cannot_be_asked_is_told_what_to_do() {
        assert!(code("union Either { a: u8, b: u16 }").expect_err("a union").contains("by hand"));
        assert!(code("#[repr(C, packed)] struct Tight(u8, u16);").expect_err("packed").contains("by hand"));
        assert!(
            code("#[repr(align(8))] struct Wide(u8);").is_ok(),
            "other representations are none of its business"
        );
    }
}
