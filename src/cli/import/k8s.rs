//! `upbeat import k8s FILE...|DIR|-`.

use std::path::Path;

use clap::Args;

use crate::cli::App;
use crate::cli::import::{Applying, bytes_of, files_of, finish};
use crate::cli::output::Ended;
use crate::domain::import::k8s::{K8sRules, Running, Text, import_cron_jobs};
use crate::domain::zone::Zone;
use crate::error::Result;

pub const K8S_EXAMPLES: &str = "Examples:
  kubectl get cronjobs,configmaps -A -o yaml | upbeat import k8s - > jobs.toml
  upbeat import k8s deploy/ --tz Europe/Berlin > jobs.toml
  upbeat import k8s --run kubectl cronjob.yaml           entries make Jobs of the CronJobs, which are suspended
  helm template CHART | upbeat import k8s - --apply --dry-run
Without --run kubectl the command of the container runs on the node's own machine: no image comes along.
What could not be carried over is said on standard error, manifest by manifest.";

#[derive(Debug, Args)]
pub struct K8sArgs {
    /// Manifests in YAML or JSON, folders of them, or - for standard input
    #[arg(value_name = "FILE|DIR", default_value = "-")]
    files: Vec<String>,
    /// Zone of the controller, for CronJobs without timeZone [default: UTC]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// What entries run: the container's command, or kubectl, which makes a Job [default: command]
    #[arg(long, value_name = "WHAT")]
    run: Option<String>,
    #[command(flatten)]
    applying: Applying,
}

/// Reads CronJobs.
pub async fn run(app: &App, args: K8sArgs) -> Ended {
    if let Some(tz) = &args.tz {
        Zone::parse("tz", tz)?;
    }
    let running = args.run.as_deref().map_or(Ok(Running::default()), |word| Running::parse("run", word))?;
    let rules = K8sRules { tz: args.tz.clone(), running };
    let mut reads = Vec::new();
    for path in &args.files {
        read(path, &mut reads)?;
    }
    let is_one = reads.len() == 1;
    let texts: Vec<Text<'_>> =
        reads.iter().map(|(name, text)| ((!is_one).then_some(name.as_str()), text.as_str())).collect();
    finish(app, import_cron_jobs(&texts, &rules), &args.applying, "k8s").await
}

/// Reads a file, or those of a folder that are manifests by their names.
fn read(path: &str, reads: &mut Vec<(String, String)>) -> Result<()> {
    if path == "-" || !Path::new(path).is_dir() {
        reads.push((path.to_owned(), String::from_utf8_lossy(&bytes_of(path)?).into_owned()));
        return Ok(());
    }
    for file in files_of(path)? {
        if file.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known)) {
            let shown = file.display().to_string();
            let text = String::from_utf8_lossy(&bytes_of(&shown)?).into_owned();
            reads.push((shown, text));
        }
    }
    Ok(())
}
