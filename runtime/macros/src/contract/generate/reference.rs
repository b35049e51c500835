//! The reference: a struct with one method for each method of the contract.

use super::super::model::{Argument, Contract, Method, Mode, place_of};
use super::{allowances, private, private_at};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

pub(super) fn generate(contract: &Contract) -> TokenStream {
    let private = private();
    let (reference, message, visibility) = (contract.reference(), contract.message(), &contract.visibility);
    let methods = contract.methods.iter().map(|method| sender(contract, method));
    let about = format!(
        "A reference to whoever provides the contract `{}`; see [`{}`].\n\nCheap to clone; may travel in \
         arguments and answers. It owns no actor.",
        contract.arguments.name, contract.ident
    );
    let name = &contract.arguments.name;
    let allowances = allowances();
    quote! {
        #[doc = #about]
        #[allow(dead_code)]
        #visibility struct #reference {
            address: #private::Address<#message>,
        }

        #[automatically_derived]
        #allowances
        impl #reference {
            #(#methods)*
        }

        #[automatically_derived]
        impl ::core::clone::Clone for #reference {
            fn clone(&self) -> Self {
                Self { address: ::core::clone::Clone::clone(&self.address) }
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Debug for #reference {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::write!(formatter, "{}({})", ::core::stringify!(#reference), self.address.locator())
            }
        }

        // what it leads to is not in it
        #[automatically_derived]
        impl ::odeon::Weigh for #reference {}

        #[automatically_derived]
        impl #private::serde::Serialize for #reference {
            fn serialize<S: #private::serde::Serializer>(&self, serializer: S) -> ::core::result::Result<S::Ok, S::Error> {
                #private::serde::Serialize::serialize(self.address.locator(), serializer)
            }
        }

        #[automatically_derived]
        impl<'de> #private::serde::Deserialize<'de> for #reference {
            fn deserialize<D: #private::serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<Self, D::Error> {
                let locator = <#private::Locator as #private::serde::Deserialize>::deserialize(deserializer)?;
                ::core::result::Result::Ok(Self { address: #private::Address::unbound::<Self>(locator) })
            }
        }

        #[automatically_derived]
        impl #private::schemars::JsonSchema for #reference {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(::core::stringify!(#reference))
            }

            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                ::std::borrow::Cow::Borrowed(::core::concat!(::core::module_path!(), "::", ::core::stringify!(#reference)))
            }

            fn json_schema(_: &mut #private::schemars::SchemaGenerator) -> #private::schemars::Schema {
                #private::reference_schema(#name)
            }
        }
    }
}

/// The method that makes a call or a cast.
fn sender(contract: &Contract, method: &Method) -> TokenStream {
    let private = private();
    let message = contract.message();
    let Method { ident, variant, .. } = method;
    let attributes = method.shared_attributes();
    let (names, kinds) = (method.names(), method.kinds());
    let (value, error) = (method.answer.value(), method.answer.error());
    let (blame, blamed) = (method.answer.blame(), private_at(method.answer.blame()));
    let call = quote!(#private::Call<'_, Self, #value, #error>);
    let (returned, made) = match method.mode {
        Mode::Cast => (
            quote!(#private::Cast<'_, Self>),
            quote!(#private::Cast::new(self, #message::#variant { #(#names,)* })),
        ),
        Mode::Call => {
            let message = quote!(#message::#variant { #(#names,)* __reply, });
            (call, quote_spanned!(blame=> #blamed::Call::once(self, move |__reply| #message)))
        }
        Mode::Read => {
            let copies = method.arguments.iter().map(|Argument { ident, kind, .. }| {
                quote_spanned!(place_of(kind)=> #ident: ::core::clone::Clone::clone(&#ident))
            });
            let message = quote!(#message::#variant { #(#copies,)* __reply, });
            (call, quote_spanned!(blame=> #blamed::Call::repeatable(self, move |__reply| #message)))
        }
    };
    quote! {
        #(#attributes)*
        #[inline]
        pub fn #ident(&self, #(#names: #kinds),*) -> #returned {
            #made
        }
    }
}
