//! `catalog`: an entity for each product, by its article number: price, stock, and what is set aside for orders.

use odeon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A product of the shop.
#[odeon::contract(name = "catalog", version = "1.0")]
pub trait Catalog {
    /// The product.
    #[read]
    async fn find(&self, cx: &Cx) -> Result<Product, CatalogError>;

    /// Sets some aside for an order. Repeated for the same order it changes nothing.
    async fn reserve(&mut self, cx: &Cx, order: String, quantity: u32) -> Result<Product, CatalogError>;

    /// The order will not be paid: what was set aside is for sale again.
    #[cast]
    async fn release(&mut self, cx: &Cx, order: String);

    /// The order is paid: what was set aside leaves the house.
    #[cast]
    async fn ship(&mut self, cx: &Cx, order: String);

    /// More has arrived. Answers the product as it is now.
    async fn restock(&mut self, cx: &Cx, quantity: u32) -> Result<Product, CatalogError>;
}

/// What a product looks like to those who buy it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Product {
    /// Its article number.
    pub sku: String,
    /// What it is called.
    pub name: String,
    /// What one costs, in cents.
    pub cents: u64,
    /// How many are for sale.
    pub stock: u32,
}

/// Why the catalog did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "error")]
pub enum CatalogError {
    /// There is no such product.
    #[error("there is no product {sku}")]
    NoSuchProduct {
        /// The article number that was asked for.
        sku: String,
    },
    /// There are not enough of it.
    #[error("only {stock} of {sku} left")]
    OutOfStock {
        /// The article number.
        sku: String,
        /// How many are for sale.
        stock: u32,
    },
}

impl ContractError for CatalogError {
    fn retry(&self) -> Retry {
        match self {
            Self::NoSuchProduct { .. } => Retry::Never,
            Self::OutOfStock { .. } => Retry::Later,
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::NoSuchProduct { .. } => 404,
            Self::OutOfStock { .. } => 409,
        }
    }
}

/// What the shop sells: article number, name, price in cents, how many at first.
pub const ASSORTMENT: [(&str, &str, u64, u32); 8] = [
    ("teapot", "Teapot, stoneware", 3_490, 500),
    ("teacup", "Teacup, stoneware", 890, 2_000),
    ("kettle", "Kettle, 1.5 l", 5_900, 300),
    ("strainer", "Strainer, steel", 650, 1_000),
    ("assam", "Assam, 250 g", 1_150, 1_500),
    ("sencha", "Sencha, 100 g", 1_490, 800),
    ("honey", "Honey, 500 g", 990, 600),
    ("biscuits", "Biscuits, 200 g", 420, 2_500),
];

/// The shelf of one product. A shelf without a product exists only to say so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    sku: String,
    product: Option<Product>,
    reserved: BTreeMap<String, u32>,
}

impl Shelf {
    /// As the previous activation left it, or as the shop opened.
    ///
    /// # Errors
    /// What the previous activation left cannot be read.
    pub async fn start(cx: Cx) -> Result<Self, StartError> {
        if let Some(bytes) = cx.restored() {
            return serde_json::from_slice(&bytes).map_err(StartError::new);
        }
        Ok(Self::opening(cx.key()))
    }

    /// As the shop opened.
    pub fn opening(sku: &str) -> Self {
        let product = ASSORTMENT.iter().find(|(key, ..)| *key == sku).map(|(sku, name, cents, stock)| {
            Product { sku: (*sku).into(), name: (*name).into(), cents: *cents, stock: *stock }
        });
        Self { sku: sku.into(), product, reserved: BTreeMap::new() }
    }

    fn missing(&self) -> CatalogError {
        CatalogError::NoSuchProduct { sku: self.sku.clone() }
    }
}

#[odeon::service]
impl Catalog for Shelf {
    async fn find(&self, _: &Cx) -> Result<Product, CatalogError> {
        self.product.clone().ok_or_else(|| self.missing())
    }

    async fn reserve(&mut self, _: &Cx, order: String, quantity: u32) -> Result<Product, CatalogError> {
        let missing = self.missing();
        let product = self.product.as_mut().ok_or(missing)?;
        if let Entry::Vacant(place) = self.reserved.entry(order) {
            let short = || CatalogError::OutOfStock { sku: product.sku.clone(), stock: product.stock };
            product.stock = product.stock.checked_sub(quantity).ok_or_else(short)?;
            place.insert(quantity);
        }
        Ok(product.clone())
    }

    async fn release(&mut self, _: &Cx, order: String) {
        if let (Some(quantity), Some(product)) = (self.reserved.remove(&order), &mut self.product) {
            product.stock = product.stock.saturating_add(quantity);
        }
    }

    async fn ship(&mut self, _: &Cx, order: String) {
        self.reserved.remove(&order);
    }

    async fn restock(&mut self, _: &Cx, quantity: u32) -> Result<Product, CatalogError> {
        let missing = self.missing();
        let product = self.product.as_mut().ok_or(missing)?;
        product.stock = product.stock.saturating_add(quantity);
        Ok(product.clone())
    }

    async fn passivate(&mut self, cx: &Cx) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|problem| {
            tracing::error!(sku = cx.key(), %problem, "a shelf cannot be kept");
            Vec::new()
        })
    }
}
