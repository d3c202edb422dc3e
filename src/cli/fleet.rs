//! Commands about nodes and the shard's clock.

use crate::cli::App;
use crate::cli::args::Changing;
use crate::cli::output::{Cell, Ended, Format, print, table};
use crate::cli::times::rough;
use crate::domain::span::Span;
use crate::service::NodeView;

/// `upbeat nodes`.
pub async fn nodes(app: &App) -> Ended {
    let nodes = app.service().await?.nodes().await?;
    app.printer.list(
        &nodes,
        |node| node.node.clone(),
        || {
            if nodes.is_empty() {
                app.printer.note("no nodes; start one: upbeat node");
                return String::new();
            }
            let head = ["NODE", "STATE", "RUNNING", "QUEUES", "MAY RUN", "VERSION", "TZDATA", "SKEW", "PID", "HOST"];
            table(&head, nodes.iter().map(node_row))
        },
    );
    if !app.printer.is_json() {
        older_zone_data(&nodes).into_iter().for_each(|note| app.printer.note(note));
    }
    Ok(0)
}

/// Said where nodes have zone data of different age.
fn older_zone_data(nodes: &[NodeView]) -> Option<String> {
    let live = || nodes.iter().filter(|node| node.state != "lost");
    let newest = live().map(|node| node.tzdata.as_str()).max()?;
    let older: Vec<&str> = live().filter(|node| node.tzdata != newest).map(|node| node.node.as_str()).collect();
    (!older.is_empty()).then(|| {
        format!(
            "fire times are planned by nodes with zone data {newest}; {} have older, update tzdata there",
            older.join(", ")
        )
    })
}

fn node_row(node: &NodeView) -> Vec<Cell> {
    vec![
        Cell::from(node.node.clone()),
        Cell::state(node.state.clone()),
        format!("{}/{}", node.running, node.concurrency).into(),
        node.queues.as_ref().map_or_else(|| "all".to_owned(), |queues| queues.join(",")).into(),
        if node.kinds.is_empty() { "nothing".to_owned() } else { node.kinds.join(",") }.into(),
        node.version.clone().into(),
        node.tzdata.clone().into(),
        format!("{} ms", node.clock_skew_ms).into(),
        node.pid.to_string().into(),
        node.host.clone().into(),
    ]
}

/// `upbeat doctor --accept-clock`: the way out after a Redis clock that had run ahead.
pub async fn accept_clock(app: &App, changing: &Changing) -> Ended {
    let service = app.service().await?;
    let mut shards = Vec::new();
    for shard in service.store().shards() {
        let (before, redis) = service.store().accept_clock(shard, !changing.dry_run).await?;
        let back = Span((before.0 - redis.0).max(0).unsigned_abs());
        shards.push(serde_json::json!({
            "shard": shard,
            "before": before.to_rfc3339(),
            "after": redis.to_rfc3339(),
            "skipped_back_ms": back.ms(),
        }));
        if app.printer.format == Format::Table {
            let verb = if changing.dry_run { "would go" } else { "goes" };
            print(&match back.0 {
                0 => format!("shard {shard}: its clock agrees with Redis', nothing to skip back\n"),
                _ => format!(
                    "shard {shard}: its clock {verb} back by {}, from {} to {}\n",
                    rough(back),
                    before.to_rfc3339(),
                    redis.to_rfc3339()
                ),
            });
        }
    }
    app.printer.list(&shards, |shard| shard["shard"].to_string(), String::new);
    Ok(0)
}
