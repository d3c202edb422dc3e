//! Checks of the nodes: who is there, alike enough, and serving what waits.

use std::collections::BTreeSet;

use crate::domain::span::Span;
use crate::domain::wall::rough;
use crate::error::Result;
use crate::service::Service;
use crate::service::doctor::{Check, Picture, counted};
use crate::service::view::NodeView;

/// A node's clock that is further off is told of, ms. It decides nothing.
const SKEW_MS: i64 = 1_000;

impl Service {
    pub(super) async fn check_fleet(&self, picture: &Picture) -> Result<Vec<Check>> {
        let nodes = self.nodes().await?;
        let mut checks = vec![alive(&nodes, picture)];
        let live: Vec<&NodeView> = nodes.iter().filter(|node| node.state != "lost").collect();
        if !live.is_empty() {
            checks.push(clocks(&live));
            checks.push(versions(&live));
        }
        checks.push(self.check_zone_data(&live, picture));
        Ok(checks)
    }

    fn check_zone_data(&self, live: &[&NodeView], picture: &Picture) -> Check {
        let own = self.store.zone_data();
        let stale = picture.sum(|counts| counts.stale);
        let newest = live.iter().map(|node| node.tzdata.as_str()).max().unwrap_or(own);
        let older = names(live.iter().filter(|node| node.tzdata != newest));
        if !older.is_empty() {
            return Check::note("zone_data", format!("{newest}; {} older", older.join(", ")))
                .message("only the newest plan fire times; update tzdata on the others, they can't stand in")
                .todo("upbeat nodes");
        }
        if newest < own {
            return Check::note("zone_data", format!("nodes have {newest}, this program {own}"))
                .message("fire times are planned by older rules of zones until the nodes are updated")
                .todo("upbeat nodes");
        }
        if stale > 0 {
            return Check::note("zone_data", format!("{newest}; {stale} entries wait to be planned with it"))
                .message("live nodes do it by themselves, a few a second")
                .todo(if live.is_empty() { "upbeat node" } else { "upbeat nodes" });
        }
        Check::ok("zone_data", newest.to_owned())
    }
}

fn names<'a>(nodes: impl Iterator<Item = &'a &'a NodeView>) -> Vec<String> {
    nodes.map(|node| node.node.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}

fn alive(nodes: &[NodeView], picture: &Picture) -> Check {
    let of = |state: &str| -> Vec<String> {
        nodes.iter().filter(|node| node.state == state).map(|node| node.node.clone()).collect()
    };
    let (live, unready, lost) = (of("live"), of("unready"), of("lost"));
    if live.is_empty() && unready.is_empty() {
        let firing = picture.firing() + picture.sum(|counts| counts.live);
        return match firing {
            0 => Check::note("nodes", "no live node").message("nothing fires without one").todo("upbeat node"),
            _ => Check::wrong("nodes", "no live node")
                .message("nothing fires, nothing runs; what comes due meanwhile follows catch_up")
                .todo("upbeat node"),
        };
    }
    if !unready.is_empty() {
        return Check::wrong("nodes", format!("{} un-ready", unready.join(", ")))
            .message("it takes nothing new; its log says why")
            .todo("upbeat nodes");
    }
    let value = counted(live.len(), "live node", "live nodes");
    match lost.is_empty() {
        true => Check::ok("nodes", value),
        false => Check::note("nodes", format!("{value}; lost within the hour: {}", lost.join(", ")))
            .message("others have taken over what they executed; one that stops by SIGTERM is not lost")
            .todo("upbeat nodes")
            .todo("upbeat events --type node_lost"),
    }
}

fn clocks(live: &[&NodeView]) -> Check {
    let most = live.iter().map(|node| node.clock_skew_ms.abs()).max().unwrap_or(0);
    let off: Vec<&&NodeView> = live.iter().filter(|node| node.clock_skew_ms.abs() > SKEW_MS).collect();
    let Some(worst) = off.iter().max_by_key(|node| node.clock_skew_ms.abs()) else {
        return Check::ok("node_clocks", format!("within {most} ms of Redis"));
    };
    let length = rough(Span(worst.clock_skew_ms.unsigned_abs()));
    let side = if worst.clock_skew_ms < 0 { "behind" } else { "ahead of" };
    Check::note("node_clocks", format!("{} is {length} {side} Redis", worst.node))
        .message("nothing fires by it; but its logs, and what its commands write, carry wrong times")
        .todo("timedatectl set-ntp true")
}

fn versions(live: &[&NodeView]) -> Check {
    let versions: BTreeSet<&str> = live.iter().map(|node| node.version.as_str()).collect();
    let value = versions.iter().copied().collect::<Vec<_>>().join(", ");
    match versions.len() {
        1 => Check::ok("versions", value),
        _ => Check::note("versions", value).message("fine while an upgrade rolls; not for long").todo("upbeat nodes"),
    }
}
