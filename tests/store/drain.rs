//! Many due at once: batches, the mark that paces the others, and what they share out.

use serde_json::{Value, json};
use upbeat::store::ClaimReply;

use crate::support::hand::{Hand, World};

async fn with_600() -> World {
    let names: Vec<String> = (0..600).map(|number| format!("e{number}")).collect();
    let entry = || json!({"every": "1h", "shell": "true"});
    let entries: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), entry())).collect();
    let world = World::with(&entries).await;
    world.pass(3_600_000);
    world
}

#[tokio::test]
async fn a_full_batch_says_so_and_makes_the_others_wait_a_moment() {
    let world = with_600().await;
    let (mut one, mut other) = (Hand::new(&world.store, 'a'), Hand::new(&world.store, 'b'));
    let claim = one.claim(0, 0).await;
    assert!(claim.is_full && claim.claimed == 250);
    match other.try_claim(0, 0).await {
        ClaimReply::Later { now, until } => {
            assert!((1..=10).contains(&(until.0 - now.0)), "{now:?} {until:?}");
            world.pass(until.0 - now.0);
        }
        reply => panic!("{reply:?}"),
    }
    assert!(other.claim(0, 0).await.claimed > 0, "the mark is over");
    world.assert_conserved();
}

#[tokio::test]
async fn many_nodes_that_claim_and_fetch_at_once_share_everything_out_once() {
    let world = with_600().await;
    let mut tasks = tokio::task::JoinSet::new();
    for letter in 'a'..='f' {
        let store = crate::support::entries::open(&world.redis.url(), 1).await;
        tasks.spawn(async move {
            let mut hand = Hand::new(&store, letter);
            let mut mine = Vec::new();
            for _ in 0..60 {
                match hand.try_claim(0, 3).await {
                    ClaimReply::Claimed(claim) => mine.extend(claim.started.into_iter().map(|run| run.run.run_id)),
                    ClaimReply::Later { .. } => {}
                    reply => panic!("{reply:?}"),
                }
                mine.extend(hand.work(0, 7, &[]).await.fetched.into_iter().map(|run| run.run.run_id));
            }
            mine
        });
    }
    let mut all: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(all.len(), 600);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 600, "nobody has what another has");
    world.assert_conserved();
}
