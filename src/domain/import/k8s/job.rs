//! What the controllers of CronJobs and Jobs do: the rules that an entry needs to do the same, or the Job itself.

use serde_json::{Map, Value, json};

use super::{keep_runs, max_attempts, text, whole};
use crate::error::{Error, Result};

/// Longest name of a Job, less the 13 characters that tell its runs apart.
const NAME_MAX_BYTES: usize = 50;

/// Makes a Job of a CronJob and waits for its end. The name of the Job comes from the run id, so an attempt that takes a
/// run over finds the Job of the one before and makes no second. Told to stop, it deletes the Job.
const SCRIPT: &str = r#"space=$1 job="$2-$(printf %s "$UPBEAT_RUN_ID" | cut -c1-8,10-13)" unseen=0
kube() { kubectl ${space:+-n "$space"} "$@"; }
trap 'kube delete job "$job" --wait=false --ignore-not-found; exit 143' TERM
while :; do
  seen=$(kube get job "$job" -o 'jsonpath={.metadata.name}/{.metadata.deletionTimestamp}' 2>/dev/null)
  case $seen in
    '') kube create job "$job" --from="cronjob/$3" && break || exit ;;
    "$job/") break ;;
  esac
  sleep 1 & wait $!
done
while :; do
  if state=$(kube get job "$job" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}'); then unseen=0; else unseen=$((unseen + 1)); fi
  case $state in *Complete* | *Failed*) break ;; esac
  if [ "$unseen" -ge 30 ]; then echo "job $job can't be seen" >&2; exit 1; fi
  sleep 2 & wait $!
done
kube logs "job/$job" --all-containers --tail=200 || true
case $state in *Complete*) ;; *) exit 1 ;; esac"#;

/// The command that makes Jobs of a CronJob.
pub(super) fn kubectl(namespace: &str, name: &str) -> Result<Value> {
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
    };
    for (field, text) in [("metadata.namespace", namespace), ("metadata.name", name)] {
        if !is_plain(text) || text.starts_with(['-', '.']) {
            return Err(Error::invalid(field, format!("{text:?} is not a name of Kubernetes")).value(text));
        }
    }
    let short = name[..name.len().min(NAME_MAX_BYTES)].trim_end_matches(['-', '.']);
    Ok(json!(["/bin/sh", "-c", SCRIPT, "upbeat", namespace, short, name]))
}

/// `concurrencyPolicy`, `startingDeadlineSeconds` and the limits of the history.
pub(super) fn policies(spec: &Value, fields: &mut Map<String, Value>, notes: &mut Vec<String>) -> Result<()> {
    let overlap = match text("concurrencyPolicy", spec.get("concurrencyPolicy"))? {
        None | Some("Allow" | "") => "allow",
        Some("Forbid") => {
            notes.push(
                "Forbid became overlap = \"skip\": what is due meanwhile is skipped; Kubernetes starts the newest of it \
                 afterwards, within startingDeadlineSeconds (overlap = \"buffer_one\" runs the first of it)"
                    .to_owned(),
            );
            "skip"
        }
        Some("Replace") => "cancel_other",
        Some(other) => {
            let why = format!("{other:?} is not one of Allow, Forbid, Replace");
            return Err(Error::invalid("concurrencyPolicy", why).value(other));
        }
    };
    fields.insert("overlap".to_owned(), Value::from(overlap));
    // Its controller starts the newest of the times that it missed, whatever their number, and drops the others.
    fields.insert("catch_up".to_owned(), Value::from("latest"));
    if let Some(seconds) = whole("startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))? {
        match seconds {
            0 => notes.push("startingDeadlineSeconds: 0 is left out, it would let nothing start".to_owned()),
            seconds => {
                fields.insert("start_within".to_owned(), Value::from(format!("{seconds}s")));
            }
        }
    }
    if let Some(keep) = keep_runs(spec)? {
        fields.insert("keep_runs".to_owned(), Value::from(keep));
    }
    Ok(())
}

/// `backoffLimit` and `activeDeadlineSeconds`: failed pods are made again after 10 s, 20 s, ... up to 6 min.
pub(super) fn attempts(job: &Value, pod: &Value, fields: &mut Map<String, Value>) -> Result<()> {
    let deadline = whole("activeDeadlineSeconds", job.get("activeDeadlineSeconds"))?
        .or(whole("activeDeadlineSeconds", pod.get("activeDeadlineSeconds"))?)
        .filter(|seconds| *seconds > 0);
    let attempts = max_attempts(job)?;
    if let Some(seconds) = deadline {
        fields.insert("timeout".to_owned(), Value::from(format!("{seconds}s")));
    }
    if attempts > 1 {
        let mut retry = json!({
            "max_attempts": attempts, "backoff": "exponential", "delay": "10s", "max_delay": "6m", "jitter": 0,
        });
        if let (Some(seconds), Some(retry)) = (deadline, retry.as_object_mut()) {
            retry.insert("within".to_owned(), Value::from(format!("{seconds}s")));
        }
        fields.insert("retry".to_owned(), retry);
    }
    Ok(())
}
