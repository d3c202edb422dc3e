//! What nodes and people do in a random walk.

use proptest::prelude::*;
use upbeat::store::EndedAs;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Step {
    Pass {
        ms: i64,
    },
    /// Time goes on while somebody looks in: leases end that nobody renews.
    Outlast,
    Claim {
        who: usize,
        slots: usize,
    },
    Fetch {
        who: usize,
        wanted: usize,
    },
    Renew {
        who: usize,
    },
    /// The result of an attempt that the node holds, or believes to hold.
    End {
        who: usize,
        which: usize,
        how: EndedAs,
    },
    Rescue {
        who: usize,
    },
    Cancel {
        which: usize,
    },
    Retry {
        which: usize,
    },
    Purge {
        which: usize,
    },
    Trigger {
        which: usize,
    },
    /// Off with an entry, or on with it again.
    Remove {
        which: usize,
    },
    /// The target of messages refuses them, or no longer.
    Block,
}

/// A walk.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..3_usize;
    let any = 0..100_usize;
    let how = prop_oneof![
        3 => Just(EndedAs::Succeeded),
        6 => Just(EndedAs::Failed),
        1 => Just(EndedAs::Cancelled),
        1 => Just(EndedAs::HandedBack),
        1 => Just(EndedAs::Returned),
    ];
    let step = prop_oneof![
        6 => (1..9_000_i64).prop_map(|ms| Step::Pass { ms }),
        2 => Just(Step::Outlast),
        8 => (who.clone(), 0..4_usize).prop_map(|(who, slots)| Step::Claim { who, slots }),
        6 => (who.clone(), 1..9_usize).prop_map(|(who, wanted)| Step::Fetch { who, wanted }),
        1 => who.clone().prop_map(|who| Step::Renew { who }),
        14 => (who.clone(), any.clone(), how).prop_map(|(who, which, how)| Step::End { who, which, how }),
        3 => who.prop_map(|who| Step::Rescue { who }),
        2 => any.clone().prop_map(|which| Step::Cancel { which }),
        3 => any.clone().prop_map(|which| Step::Retry { which }),
        1 => any.clone().prop_map(|which| Step::Purge { which }),
        1 => any.clone().prop_map(|which| Step::Trigger { which }),
        1 => any.prop_map(|which| Step::Remove { which }),
        1 => Just(Step::Block),
    ];
    prop::collection::vec(step, 30..90)
}
