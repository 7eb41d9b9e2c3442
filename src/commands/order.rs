//! `koogate order`: what KooGallery tells of orders.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use super::output;
use crate::config::Config;
use crate::open_api::error::OpenApiError;
use crate::open_api::{OpenApi, Patience};
use crate::protocol::call::Buyer;
use crate::protocol::open_api::order::Order;
use crate::store::{OrderRow, Store};
use crate::view;

/// KooGallery has so long to tell an order, all attempts together.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the orders that are kept, those read last first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show an order; KooGallery is asked for one that is not kept 查询订单
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Its id; KooGallery has mock orders for a first try, such as MOCKPERIODYEARNEW
    order_id: String,
    /// Ask KooGallery even if it is kept
    #[arg(long)]
    refresh: bool,
    /// Show the buyer's mobile number and e-mail address whole
    #[arg(long)]
    personal: bool,
    /// As a JSON object: the orderInfo of KooGallery, with times as in all listings
    #[arg(long)]
    json: bool,
}

pub(super) fn run(path: &Path, command: &Command) -> anyhow::Result<ExitCode> {
    let config = super::load(path)?;
    // An access key is tried before the first start, too.
    super::closing(super::open_or_create(&config)?, |store| {
        match command {
            Command::List { limit, json } => list(store, *limit, *json)?,
            Command::Show(args) => show(&config, store, args)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn list(store: &Store, limit: i64, json: bool) -> anyhow::Result<()> {
    let rows = store.read(|tx| tx.orders(None, limit))?;
    let header = ["order", "type", "ordered", "read"];
    let table = rows.iter().map(|row| {
        vec![
            row.order_id.clone(),
            output::or_dash(row.order_type.as_deref()),
            output::time_or_dash(row.create_time),
            output::time(row.fetched_at),
        ]
    });
    output::listing(json, &header, table, rows.iter().map(view::order::listed))
}

fn show(config: &Config, store: &Store, args: &ShowArgs) -> anyhow::Result<()> {
    let kept = if args.refresh { None } else { store.read(|tx| tx.order(&args.order_id))? };
    let (row, mut info) = match kept {
        Some(kept) => kept,
        None => ask(config, store, &args.order_id)?,
    };
    if args.json {
        return output::line(&view::order::shown(&row, info, args.personal).to_string());
    }
    if !args.personal {
        view::order::mask(&mut info);
    }
    let order = Order::read(Some(&info), &args.order_id)?;
    let order_type = output::harmless(&output::or_dash(order.order_type.as_deref()));
    output::line(&format!("order       {} ({order_type})", output::harmless(&order.order_id)))?;
    output::line(&format!("ordered     {}", output::time_or_dash(order.create_time)))?;
    output::line(&format!("read        {}", output::time(row.fetched_at)))?;
    show_buyer(&order.buyer)?;
    let parameters = order.parameters.iter().chain(order.lines.iter().flat_map(|line| &line.parameters));
    for (name, value) in parameters {
        output::line(&format!("parameter   {}", output::harmless(&format!("{name} = {value}"))))?;
    }
    output::listing(
        false,
        &["line", "charged", "period", "expires", "product", "sku", "name", "quantity"],
        lines(&order),
        [],
    )
}

fn ask(config: &Config, store: &Store, order_id: &str) -> anyhow::Result<(OrderRow, Value)> {
    let settings = config.open_api.as_ref().ok_or(OpenApiError::NotConfigured)?;
    let open_api = OpenApi::new(settings).context("open_api.ca_file")?;
    Ok(open_api.order_and_keep(store, order_id, Patience::Until(Instant::now() + PATIENCE))?)
}

fn show_buyer(buyer: &Buyer) -> anyhow::Result<()> {
    let contact = |secret: &Option<crate::secret::Secret<String>>| secret.as_ref().map(|text| text.expose().clone());
    let facts = [
        ("customer", buyer.customer_id.clone()),
        ("name", buyer.customer_name.clone()),
        ("user id", buyer.user_id.clone()),
        ("user", buyer.user_name.clone()),
        ("mobile", contact(&buyer.mobile_phone)),
        ("email", contact(&buyer.email)),
    ];
    for (word, value) in facts {
        if let Some(value) = value {
            output::line(&format!("{word:<12}{}", output::harmless(&value)))?;
        }
    }
    Ok(())
}

/// A row for each billing item.
fn lines(order: &Order) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for line in &order.lines {
        let period = match (line.period_number, &line.period_type) {
            (Some(number), Some(kind)) => format!("{number} {kind}"),
            (_, kind) => output::or_dash(kind.as_deref()),
        };
        let head = [
            output::or_dash(line.order_line_id.as_deref()),
            output::or_dash(line.charging_mode.as_deref()),
            period,
            output::time_or_dash(line.expire_time),
        ];
        let products = line.products.iter().map(|product| {
            let quantity = product.quantity.map(|quantity| quantity.to_string());
            let facts = [&product.product_id, &product.sku_code, &product.name, &quantity];
            facts.map(|fact| output::or_dash(fact.as_deref()))
        });
        let dashes = || std::array::from_fn(|_| output::or_dash(None));
        let products: Vec<[String; 4]> = products.collect();
        let products = if products.is_empty() { vec![dashes()] } else { products };
        rows.extend(products.into_iter().map(|product| head.iter().cloned().chain(product).collect()));
    }
    rows
}
