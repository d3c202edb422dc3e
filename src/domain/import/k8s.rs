//! Imports CronJobs of Kubernetes: each becomes an entry that runs the command of its container, or one that makes Jobs
//! of it by kubectl, with the rules that its controller follows.

mod container;
mod documents;
mod job;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use documents::{Documents, Manifest};
use schedule::When;

use crate::domain::entry::Entry;
use crate::domain::file::FileEntry;
use crate::domain::id::{EntryId, plain_id};
use crate::domain::import::{Ids, Import};
use crate::domain::nearest::not_one_of;
use crate::domain::policy::{KEEP_RUNS_MAX, LABEL_KEY_MAX_BYTES, LABEL_VALUE_MAX_BYTES, LABELS_MAX};
use crate::domain::retry::MAX_ATTEMPTS_MAX;
use crate::domain::timestamp::Timestamp;
use crate::domain::zone::Zone;
use crate::error::{Error, Result};

/// What an entry runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Running {
    /// The command of the container, on the node's own machine.
    #[default]
    Command,
    /// `kubectl create job --from=cronjob/NAME`, and waits for its end.
    Kubectl,
}

impl Running {
    /// As they are written.
    pub const WORDS: [&str; 2] = ["command", "kubectl"];

    /// Reads one of [`Self::WORDS`].
    ///
    /// # Errors
    ///
    /// Invalid about `field`.
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        match word {
            "command" => Ok(Self::Command),
            "kubectl" => Ok(Self::Kubectl),
            _ => Err(not_one_of(field, word, &Self::WORDS)),
        }
    }
}

/// How manifests are read.
#[derive(Debug, Clone, Default)]
pub struct K8sRules {
    /// The zone of the controller, for CronJobs without `timeZone`; UTC where none is given.
    pub tz: Option<String>,
    /// What entries run.
    pub running: Running,
}

/// One text, and how places call it where there are several.
pub type Text<'t> = (Option<&'t str>, &'t str);

/// Reads manifests into one file. ConfigMaps and Secrets among them are looked at for variables.
pub fn import_cron_jobs(texts: &[Text<'_>], rules: &K8sRules) -> Import {
    let mut documents = Documents::default();
    for (name, text) in texts {
        documents.read(*name, text);
    }
    let mut importer = Importer {
        import: Import::default(),
        ids: Ids::default(),
        secrets: BTreeMap::new(),
        seen: BTreeSet::new(),
        rules,
    };
    importer.import.refused.append(&mut documents.unread);
    for manifest in &documents.cron_jobs {
        if let Err(why) = importer.cron_job(manifest, &documents) {
            let schedule = manifest.value.pointer("/spec/schedule").and_then(Value::as_str).unwrap_or_default();
            importer.import.refuse(&manifest.place, schedule.chars().take(256).collect::<String>(), &why);
        }
    }
    importer.end(&documents)
}

struct Importer<'r> {
    import: Import,
    ids: Ids,
    /// Secrets that nodes need, and where they are in Kubernetes.
    secrets: BTreeMap<String, String>,
    /// Namespaces and names of those that were carried over.
    seen: BTreeSet<(String, String)>,
    rules: &'r K8sRules,
}

impl Importer<'_> {
    fn cron_job(&mut self, manifest: &Manifest, documents: &Documents) -> Result<()> {
        let Manifest { place, value } = manifest;
        let spec = table("spec", value.get("spec"))?;
        let name = text("metadata.name", value.pointer("/metadata/name"))?
            .ok_or_else(|| Error::invalid("metadata.name", "is missing"))?;
        let namespace = text("metadata.namespace", value.pointer("/metadata/namespace"))?.unwrap_or_default();
        let job = table("jobTemplate.spec", spec.get("jobTemplate").and_then(|job| job.get("spec")))?;
        let pod =
            table("jobTemplate.spec.template.spec", job.get("template").and_then(|template| template.get("spec")))?;
        let mut fields = Map::new();
        let mut notes = Vec::new();
        self.when(value, spec, &mut fields, &mut notes)?;
        let containers: Vec<&Value> = items(pod, "containers")?.collect();
        let mut secrets = None;
        match self.rules.running {
            Running::Kubectl => {
                fields.insert("exec".to_owned(), job::kubectl(namespace, name)?);
            }
            Running::Command => {
                let container = only_container(&containers, pod, job)?;
                let command = container::read(container, namespace, documents, &self.secrets)?;
                fields.insert("exec".to_owned(), json!(command.words));
                if !command.env.is_empty() {
                    fields.insert("env".to_owned(), Value::Object(command.env));
                }
                if let Some(folder) = text("workingDir", container.get("workingDir"))? {
                    fields.insert("cwd".to_owned(), Value::from(folder));
                }
                secrets = Some(command.secrets);
                job::attempts(job, pod, &mut fields)?;
                let left = left_behind(container, pod, job);
                if !left.is_empty() {
                    notes.push(format!("{} stay behind", left.into_iter().collect::<Vec<_>>().join(", ")));
                }
            }
        }
        job::policies(spec, &mut fields, &mut notes)?;
        let images: BTreeSet<&str> = containers.iter().filter_map(|one| one.get("image")?.as_str()).collect();
        let labels = labels(value, namespace, &images.into_iter().collect::<Vec<_>>().join(" "), &mut notes);
        if !labels.is_empty() {
            fields.insert("labels".to_owned(), Value::Object(labels));
        }
        let is_paused = flag("suspend", spec.get("suspend"))?.unwrap_or_default();
        let entry = Entry::parse(fields)?;
        let id = self.id(namespace, name)?;
        self.ids.take(&id);
        if !self.seen.insert((namespace.to_owned(), name.to_owned())) {
            notes.push(format!(
                "stands here more than once, in Kubernetes the last one counts; here {id} runs beside the one before"
            ));
        } else if id.as_str() != name {
            notes.push(format!("its id is {id}"));
        }
        self.import.file.entries.push(FileEntry { id, entry, is_paused });
        self.secrets.extend(secrets.into_iter().flatten());
        for note in notes {
            self.import.note(format!("{place}: {note}"));
        }
        Ok(())
    }

    /// `schedule` and `timeZone`. Its times follow the clock on the wall: left out where it leaves them out, twice where
    /// it shows them twice.
    fn when(
        &mut self,
        value: &Value,
        spec: &Value,
        fields: &mut Map<String, Value>,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let schedule = text("schedule", spec.get("schedule"))?
            .ok_or_else(|| Error::invalid("schedule", "is missing").hint("spec.schedule: \"0 5 * * *\""))?;
        let named = text("timeZone", spec.get("timeZone"))?;
        let (words, own) = match schedule::read(schedule)? {
            When::Every(seconds) => {
                fields.insert("every".to_owned(), Value::from(format!("{seconds}s")));
                // Counted from the last time, at first from its creation.
                let last = ["/status/lastScheduleTime", "/metadata/creationTimestamp"]
                    .iter()
                    .find_map(|path| value.pointer(path)?.as_str())
                    .and_then(|at| Timestamp::parse("start", at, None).ok());
                match last {
                    Some(last) => {
                        fields.insert("start".to_owned(), Value::from(last.to_rfc3339()));
                    }
                    None => notes.push(
                        "@every counts from the apply: the manifest does not say when it ran last (kubectl get -o yaml does)"
                            .to_owned(),
                    ),
                }
                return Ok(());
            }
            When::Cron { words, tz } => (words, tz),
        };
        if own.is_some() && named.is_some() {
            return Err(Error::invalid("timeZone", "stands beside TZ= in the schedule, which Kubernetes refuses"));
        }
        fields.insert("cron".to_owned(), Value::from(words));
        let Some(tz) = named.map(str::to_owned).or(own).or_else(|| self.rules.tz.clone()) else {
            self.import.note(
                "no timeZone: read as UTC, the zone of most controllers (--tz ZONE for those of another, see kube-controller-manager)",
            );
            return Ok(());
        };
        if !Zone::parse("timeZone", &tz)?.has_constant_offset() {
            fields.insert("dst".to_owned(), json!({ "gap": "skip", "fold": "both" }));
        }
        fields.insert("tz".to_owned(), Value::from(tz));
        Ok(())
    }

    fn id(&self, namespace: &str, name: &str) -> Result<EntryId> {
        let stem = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") };
        self.ids.free(&plain_id(&stem).unwrap_or_else(|| "cronjob".to_owned()))
    }

    /// Says what holds for all of them.
    fn end(mut self, documents: &Documents) -> Import {
        let count = self.import.file.entries.len();
        match self.rules.running {
            _ if count == 0 => {}
            Running::Command => self.import.note(
                "no container comes along: commands run on the node's own machine, label image names what they ran in \
                 (--run kubectl makes Jobs instead)",
            ),
            Running::Kubectl => self.import.note(
                "nodes need kubectl and the rights to get, create and delete Jobs and to read logs; suspend each CronJob \
                 when the entries are applied: kubectl patch cronjob NAME -p '{\"spec\":{\"suspend\":true}}'",
            ),
        }
        for (secret, origin) in std::mem::take(&mut self.secrets) {
            self.import.note(format!("nodes need the secret {secret}: {origin}"));
        }
        let others: Vec<String> = documents.others.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        if !others.is_empty() {
            self.import.note(format!("of other kinds, and passed over: {}", others.join(", ")));
        }
        self.import
    }
}

/// The container whose command can stand for the whole Job.
fn only_container<'v>(containers: &[&'v Value], pod: &Value, job: &Value) -> Result<&'v Value> {
    let refuse = |field: &str, why: String| {
        Err(Error::invalid(field, why).hint("--run kubectl makes Jobs of it, with all that belongs to it"))
    };
    let initial = items(pod, "initContainers")?.count();
    if initial > 0 {
        return refuse("initContainers", format!("{initial} run before it, which a command can't carry over"));
    }
    for (field, least) in [("completions", 1), ("parallelism", 1)] {
        if let Some(count) = whole(field, job.get(field))?
            && count != least
        {
            return refuse(field, format!("{count} pods, a run is one command"));
        }
    }
    match containers {
        [only] => Ok(only),
        [] => Err(Error::invalid("containers", "there is none")),
        many => refuse("containers", format!("there are {}, a run is one command", many.len())),
    }
}

/// What a Job and its pod have and a command has not.
fn left_behind(container: &Value, pod: &Value, job: &Value) -> BTreeSet<String> {
    const OF_JOB: [&str; 2] = ["podFailurePolicy", "successPolicy"];
    const OF_POD: [&str; 6] =
        ["serviceAccountName", "volumes", "nodeSelector", "affinity", "tolerations", "securityContext"];
    const OF_CONTAINER: [&str; 3] = ["resources", "volumeMounts", "securityContext"];
    let is_there = |value: &&Value| match value {
        Value::Null => false,
        Value::Object(table) => !table.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    let of_pod = OF_POD.iter().filter(|key| pod.get(**key).as_ref().is_some_and(is_there));
    let of_container = OF_CONTAINER.iter().filter(|key| container.get(**key).as_ref().is_some_and(is_there));
    let of_job = OF_JOB.iter().filter(|key| job.get(**key).as_ref().is_some_and(is_there));
    of_job.chain(of_pod).chain(of_container).map(|key| (*key).to_owned()).collect()
}

/// Its own labels, its namespace and its image.
fn labels(value: &Value, namespace: &str, image: &str, notes: &mut Vec<String>) -> Map<String, Value> {
    let own = value.pointer("/metadata/labels").and_then(Value::as_object);
    let mut labels = Map::new();
    for (key, label) in own.into_iter().flatten() {
        let label = label.as_str().unwrap_or_default();
        if key.len() > LABEL_KEY_MAX_BYTES || label.len() > LABEL_VALUE_MAX_BYTES || labels.len() + 2 >= LABELS_MAX {
            notes.push(format!("label {key} is left out: too long, or one too many"));
        } else {
            labels.insert(key.clone(), Value::from(label));
        }
    }
    for (key, label) in [("k8s_namespace", namespace), ("image", image)] {
        if !label.is_empty() && label.len() <= LABEL_VALUE_MAX_BYTES {
            labels.insert(key.to_owned(), Value::from(label));
        }
    }
    labels
}

fn table<'v>(field: &str, value: Option<&'v Value>) -> Result<&'v Value> {
    value.filter(|value| value.is_object()).ok_or_else(|| Error::invalid(field, "is missing, or no table"))
}

/// What stands in a list, which may be absent.
fn items<'v>(value: &'v Value, key: &str) -> Result<impl Iterator<Item = &'v Value> + use<'v>> {
    match value.get(key) {
        None | Some(Value::Null) => Ok([].iter()),
        Some(Value::Array(items)) => Ok(items.iter()),
        Some(other) => Err(odd(key, other, "is not a list")),
    }
}

/// A value of another type than Kubernetes takes there.
fn odd(field: &str, value: &Value, why: &str) -> Error {
    let shown: String = value.to_string().chars().take(100).collect();
    Error::invalid(field, format!("{shown} {why}")).value(shown)
}

fn text<'v>(field: &str, value: Option<&'v Value>) -> Result<Option<&'v str>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(odd(field, other, "is not a text").hint("put it in quotes, Kubernetes takes it no other way"))
        }
    }
}

fn flag(field: &str, value: Option<&Value>) -> Result<Option<bool>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(odd(field, other, "is neither true nor false")),
    }
}

fn whole(field: &str, value: Option<&Value>) -> Result<Option<u64>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(number) => match number.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(odd(field, number, "is not a whole number from 0 on")),
        },
    }
}

/// Runs that stay on record: as many of each kind as the greater of the two limits.
fn keep_runs(spec: &Value) -> Result<Option<u64>> {
    let succeeded = whole("successfulJobsHistoryLimit", spec.get("successfulJobsHistoryLimit"))?;
    let failed = whole("failedJobsHistoryLimit", spec.get("failedJobsHistoryLimit"))?;
    // Kubernetes keeps 3 and 1 where nothing is said; then the default here, which keeps more.
    Ok(succeeded.max(failed).map(|limit| limit.min(u64::from(KEEP_RUNS_MAX))))
}

/// Attempts that may fail, the first one counted.
fn max_attempts(job: &Value) -> Result<u64> {
    let limit = whole("backoffLimit", job.get("backoffLimit"))?.unwrap_or(6);
    Ok(limit.saturating_add(1).min(u64::from(MAX_ATTEMPTS_MAX)))
}
