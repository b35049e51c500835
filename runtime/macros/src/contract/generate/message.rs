//! The message: one variant for each method. It is what lies in mailboxes.

use super::super::model::{Contract, Method, place_of};
use super::{allowances, private, private_at};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, Type};

pub(super) fn generate(contract: &Contract) -> TokenStream {
    let (message, visibility) = (contract.message(), &contract.visibility);
    let variants = contract.methods.iter().map(variant);
    let allowances = allowances();
    quote! {
        #[doc(hidden)]
        #allowances
        #visibility enum #message {
            #(#variants)*
        }
    }
}

/// What is known of the message. Stands where the structs of the arguments are.
pub(super) fn implementation(contract: &Contract) -> TokenStream {
    let private = private();
    let message = contract.message();
    let arguments = &contract.arguments;
    let speaks = format!("{} {}.{}", arguments.name, arguments.major, arguments.minor);
    let positions = contract.methods.iter().enumerate().map(|(position, method)| {
        let variant = &method.variant;
        quote!(Self::#variant { .. } => #position,)
    });
    let accesses = contract.methods.iter().map(|method| {
        let (variant, access) = (&method.variant, access(method));
        quote!(Self::#variant { .. } => #access,)
    });
    let weights = contract.methods.iter().map(weight);
    let encoders = contract.methods.iter().map(encoder);
    let refusals = contract.methods.iter().map(|method| {
        let variant = &method.variant;
        if method.is_cast() {
            quote!(Self::#variant { .. } => {})
        } else {
            let (blame, private) = (method.answer.blame(), private_at(method.answer.blame()));
            let refuse = quote_spanned!(blame=> #private::Reply::refuse(__reply, __why));
            quote!(Self::#variant { __reply, .. } => #refuse,)
        }
    });
    let allowances = allowances();
    quote! {
        #[automatically_derived]
        #allowances
        impl #private::Message for #message {
            const CONTRACT: &'static str = #speaks;

            #[inline]
            fn method(&self) -> usize {
                match self { #(#positions)* }
            }

            #[inline]
            fn access(&self) -> #private::Access {
                match self { #(#accesses)* }
            }

            #[inline]
            fn weight(&self) -> usize {
                #[allow(unused_imports)]
                use #private::{KnownHeap as _, UnknownHeap as _};
                ::core::mem::size_of::<Self>() + match self { #(#weights)* }
            }

            fn refuse(self, __why: #private::Refusal) {
                match self { #(#refusals)* }
            }

            fn encode(
                self,
                __encoding: #private::Encoding,
                __into: &mut ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<#private::Encoded, #private::Refusal> {
                match self { #(#encoders)* }
            }
        }
    }
}

fn variant(method: &Method) -> TokenStream {
    let private = private();
    let variant = &method.variant;
    let (names, kinds) = (method.names(), method.kinds());
    let reply = (!method.is_cast()).then(|| {
        let (value, error) = (method.answer.value(), method.answer.error());
        quote!(__reply: #private::Reply<#value, #error>,)
    });
    quote! {
        #variant {
            #(#names: #kinds,)*
            #reply
        },
    }
}

/// Writes the arguments, if there are any, and keeps who waits.
fn encoder(method: &Method) -> TokenStream {
    let (private, variant, names, ident) =
        (private(), &method.variant, method.names(), method.arguments_struct());
    let (blame, blamed) = (method.answer.blame(), private_at(method.answer.blame()));
    let reply = (!method.is_cast()).then(|| quote!(__reply));
    let encoded = match (names.is_empty(), method.is_cast()) {
        (true, true) => quote!(#private::encoded(__encoding)),
        (true, false) => quote_spanned!(blame=> #blamed::encoded_call(__encoding, __reply)),
        (false, true) => quote!(#private::encode_cast(&#ident { #(#names),* }, __encoding, __into)),
        (false, false) => quote_spanned! {blame=>
            #blamed::encode_call(&#ident { #(#names),* }, __encoding, __into, __reply)
        },
    };
    quote!(Self::#variant { #(#names,)* #reply } => #encoded,)
}

/// How the handler borrows its service.
pub(super) fn access(method: &Method) -> TokenStream {
    let private = private();
    if method.exclusive { quote!(#private::Access::Exclusive) } else { quote!(#private::Access::Shared) }
}

/// Bytes on the heap.
fn weight(method: &Method) -> TokenStream {
    let variant = &method.variant;
    let names = method.names();
    let heaps = method.arguments.iter().map(|argument| weighed(&argument.ident, &argument.kind));
    quote!(Self::#variant { #(#names,)* .. } => 0usize #(+ #heaps)*,)
}

/// What is known of the heap behind a value: resolves to 0 for types that do not implement `Weigh`. The traits that
/// decide it must be in scope.
pub(crate) fn weighed(name: &Ident, kind: &Type) -> TokenStream {
    let private = private();
    quote_spanned!(place_of(kind)=> (&#private::Weighed(#name)).heap())
}
