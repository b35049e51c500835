//! The contract for those who have bytes instead of types: names, decoding and schemas.

use super::super::model::{Answer, Contract, Method, Mode};
use super::{message, private, private_at};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

pub(super) fn generate(contract: &Contract) -> TokenStream {
    let private = private();
    let (reference, message) = (contract.reference(), contract.message());
    let arguments = &contract.arguments;
    let (name, major, minor) = (&arguments.name, arguments.major, arguments.minor);
    let structs = contract.methods.iter().map(arguments_struct);
    let demands = contract.methods.iter().map(demands);
    let rows = contract.methods.iter().map(row);
    let decoders = contract.methods.iter().enumerate().map(|(at, method)| decoder(contract, at, method));
    let travels = contract.methods.iter().enumerate().map(|(at, method)| travels(at, method));
    let implementation = message::implementation(contract);
    let schemas = contract.methods.iter().enumerate().map(|(at, method)| schema(at, method));
    quote! {
        #[allow(deprecated, clippy::type_complexity)]
        const _: () = {
            #(#structs)*
            #(#demands)*
            #implementation

            #[automatically_derived]
            impl #private::Contract for #reference {
                type Message = #message;
                const NAME: &'static str = #name;
                const VERSION: #private::ContractVersion = #private::ContractVersion { major: #major, minor: #minor };
                const METHODS: &'static [#private::Method] = &[#(#rows),*];

                fn bind(address: #private::Address<#message>) -> Self {
                    Self { address }
                }

                #[inline]
                fn address(&self) -> &#private::Address<#message> {
                    &self.address
                }

                fn decode(
                    method: usize,
                    __body: &[u8],
                    __encoding: #private::Encoding,
                    __raw: #private::RawReply,
                ) -> ::core::result::Result<#message, (#private::Refusal, #private::RawReply)> {
                    match method {
                        #(#decoders)*
                        _ => ::core::result::Result::Err((#private::no_method(#name, method), __raw)),
                    }
                }

                fn schema(
                    method: usize,
                    generator: &mut #private::schemars::SchemaGenerator,
                ) -> #private::MethodSchema {
                    match method {
                        #(#schemas)*
                        _ => #private::no_schema(),
                    }
                }

                fn travels(method: usize) -> ::core::option::Option<#private::Travels> {
                    match method {
                        #(#travels)*
                        _ => ::core::option::Option::None,
                    }
                }
            }
        };
    }
}

/// The arguments of a method as one object.
fn arguments_struct(method: &Method) -> TokenStream {
    let private = private();
    let (serde, schemars) = (quote!(#private::serde).to_string(), quote!(#private::schemars).to_string());
    let (ident, name) = (method.arguments_struct(), method.wire_name());
    let fields = method.arguments.iter().map(|argument| {
        let (attributes, ident, kind) = (&argument.attributes, &argument.ident, &argument.kind);
        quote!(#(#attributes)* #ident: #kind)
    });
    quote! {
        #[derive(#private::serde::Serialize, #private::serde::Deserialize, #private::schemars::JsonSchema)]
        #[serde(crate = #serde, rename = #name)]
        #[schemars(crate = #schemars, rename = #name)]
        struct #ident {
            #(#fields,)*
        }
    }
}

/// What an answer must be, asked for where its type is written.
fn demands(method: &Method) -> TokenStream {
    let value = method.answer.value();
    let blame = value.span().resolved_at(Span::call_site());
    let private = private_at(blame);
    let demand = quote_spanned!(blame=> #private::demand_answer::<#value>());
    if method.is_cast() { TokenStream::new() } else { quote!(const _: () = #demand;) }
}

fn row(method: &Method) -> TokenStream {
    let private = private();
    let (name, about, access) = (method.wire_name(), method.about(), message::access(method));
    let (cast, read) = (method.mode == Mode::Cast, method.mode == Mode::Read);
    let arguments = method.names().into_iter().map(|name| name.unraw().to_string());
    quote! {
        #private::Method {
            name: #name,
            access: #access,
            cast: #cast,
            read: #read,
            arguments: &[#(#arguments),*],
            about: #about,
        }
    }
}

fn decoder(contract: &Contract, at: usize, method: &Method) -> TokenStream {
    let private = private();
    let message = contract.message();
    let (ident, variant, names) = (method.arguments_struct(), &method.variant, method.names());
    // a cast is never answered: the reply goes when this function ends
    let reply = (!method.is_cast()).then(|| {
        let (blame, private) = (method.answer.blame(), private_at(method.answer.blame()));
        let raw = quote_spanned!(blame=> #private::Reply::raw(__raw));
        quote!(__reply: #raw,)
    });
    quote! {
        #at => match #private::arguments::<#ident>(__body, __encoding) {
            ::core::result::Result::Ok(#ident { #(#names),* }) => ::core::result::Result::Ok(#message::#variant {
                #(#names,)*
                #reply
            }),
            ::core::result::Result::Err(__refusal) => ::core::result::Result::Err((__refusal, __raw)),
        },
    }
}

fn schema(at: usize, method: &Method) -> TokenStream {
    let private = private();
    let ident = method.arguments_struct();
    let some = |kind: TokenStream| quote!(::core::option::Option::Some(generator.subschema_for::<#kind>()));
    let none = || quote!(::core::option::Option::None);
    let answer = if method.is_cast() { none() } else { some(method.answer.value()) };
    let error = match &method.answer {
        Answer::Fallible { error, .. } => some(quote!(#error)),
        _ => none(),
    };
    quote! {
        #at => #private::MethodSchema {
            arguments: <#ident as #private::schemars::JsonSchema>::json_schema(generator),
            answer: #answer,
            error: #error,
        },
    }
}

/// What travels, for those who try it out.
fn travels(at: usize, method: &Method) -> TokenStream {
    let (private, ident) = (private(), method.arguments_struct());
    let answer = if method.is_cast() {
        quote!(::core::option::Option::None)
    } else {
        let (value, blame) = (method.answer.value(), private_at(method.answer.blame()));
        let travelling = quote_spanned!(method.answer.blame()=> #blame::Travelling::of::<#value>());
        quote!(::core::option::Option::Some(#travelling))
    };
    let error = match &method.answer {
        Answer::Fallible { error, .. } => {
            let (here, blame) = (method.answer.blame(), private_at(method.answer.blame()));
            let travelling = quote_spanned!(here=> #blame::Travelling::of::<#error>());
            quote!(::core::option::Option::Some(#travelling))
        }
        _ => quote!(::core::option::Option::None),
    };
    quote! {
        #at => ::core::option::Option::Some(#private::Travels {
            arguments: #private::Travelling::of::<#ident>(),
            answer: #answer,
            error: #error,
        }),
    }
}
