//! From a message to the method that handles it: exhaustive matches, used by `#[odeon::service]`. What they give is
//! an enum with the future of each handler: an `async fn` around the match would hold the message a second time.

use super::super::model::{Answer, Contract, Method};
use super::{allowances, private, private_at};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};

pub(super) fn generate(contract: &Contract) -> TokenStream {
    let reference = contract.reference();
    let shared = dispatch(contract, false);
    let exclusive = dispatch(contract, true);
    let allowances = allowances();
    quote! {
        #[automatically_derived]
        #allowances
        impl #reference {
            #shared
            #exclusive
        }
    }
}

/// The function for the messages of one access.
fn dispatch(contract: &Contract, exclusive: bool) -> TokenStream {
    let (private, message, the_trait) = (private(), contract.message(), &contract.ident);
    let (name, service) = match exclusive {
        false => (quote!(__shared), quote!(&'__a __S)),
        true => (quote!(__exclusive), quote!(&'__a mut __S)),
    };
    let arms = contract.methods.iter().enumerate().map(|(position, method)| {
        let (variant, place) = (&method.variant, place(position));
        if method.exclusive == exclusive {
            let (fields, run) = run(contract, method);
            return quote!(#message::#variant { #fields .. } => __Handler::#place { __run: #run },);
        }
        let name = method.wire_name();
        quote!(#message::#variant { .. } => #private::wrong_access(#name),)
    });
    let of_this_access = contract.methods.iter().enumerate().filter(|(_, m)| m.exclusive == exclusive);
    let places: Vec<_> = of_this_access.map(|(position, _)| place(position)).collect();
    let body = if places.is_empty() {
        quote!(async move { match __message { #(#arms)* } })
    } else {
        let handler = handler(&places);
        quote! {
            #handler
            match __message { #(#arms)* }
        }
    };
    quote! {
        #[doc(hidden)]
        #[inline]
        pub fn #name<'__a, '__b, __S: #the_trait>(
            __service: #service,
            __cx: &'__b #private::Cx,
            __message: #message,
        ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send + use<'__a, '__b, __S> {
            #body
        }
    }
}

/// The name of the variant, and of its type parameter, for the method at a position.
fn place(position: usize) -> Ident {
    format_ident!("__M{position}")
}

/// One handler at work.
fn handler(places: &[Ident]) -> TokenStream {
    let private = private();
    quote! {
        #private::pin_project! {
            #[project = __Projected]
            enum __Handler<#(#places),*> {
                #(#places { #[pin] __run: #places },)*
            }
        }

        impl<#(#places),*> ::core::future::Future for __Handler<#(#places),*>
        where
            #(#places: ::core::future::Future<Output = ()>,)*
        {
            type Output = ();

            #[inline]
            fn poll(
                self: ::core::pin::Pin<&mut Self>,
                __context: &mut ::core::task::Context<'_>,
            ) -> ::core::task::Poll<()> {
                match self.project() {
                    #(__Projected::#places { __run } => ::core::future::Future::poll(__run, __context),)*
                }
            }
        }
    }
}

/// What of the message is needed, and the future of its handler.
fn run(contract: &Contract, method: &Method) -> (TokenStream, TokenStream) {
    let the_trait = &contract.ident;
    let ident = &method.ident;
    let names = method.names();
    let handler = quote!(<__S as #the_trait>::#ident(__service, __cx, #(#names),*));
    let (private, wire_name) = (private(), method.wire_name());
    if method.is_cast() {
        return (quote!(#(#names,)*), quote!(#private::recorded(__cx, #wire_name, #handler)));
    }
    let served = match method.answer {
        Answer::Fallible { .. } => handler,
        Answer::Nothing | Answer::Value(_) => quote!(#private::infallible(#handler)),
    };
    let (blame, here) = (method.answer.blame(), private_at(method.answer.blame()));
    let serve = quote_spanned!(blame=> #here::Reply::serve(__reply, __cx, #served));
    (quote!(#(#names,)* __reply,), quote!(#private::recorded(__cx, #wire_name, #serve)))
}
