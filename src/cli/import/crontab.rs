//! `upbeat import crontab FILE|-`.

use clap::Args;

use crate::cli::App;
use crate::cli::import::{Applying, finish};
use crate::cli::output::Ended;
use crate::cli::schedule_files::text_of;
use crate::domain::import::crontab::import_user_crontab;
use crate::domain::zone::Zone;

#[derive(Debug, Args)]
pub struct CrontabArgs {
    #[arg(default_value = "-")]
    file: String,
    /// Zone of the machine that it comes from
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    #[command(flatten)]
    applying: Applying,
}

/// Reads a user's crontab.
pub async fn run(app: &App, args: CrontabArgs) -> Ended {
    if let Some(tz) = &args.tz {
        Zone::parse("tz", tz)?;
    }
    let import = import_user_crontab(&text_of(&args.file)?, args.tz.as_deref());
    finish(app, import, &args.applying, "crontab").await
}
