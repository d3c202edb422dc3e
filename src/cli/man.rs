//! Man pages: one of the program, one of each command, with its examples.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use crate::cli::help::{self, at};
use crate::cli::hints;
use crate::cli::output::{Ended, print, print_bytes};
use crate::error::{Error, Result};

#[derive(Debug, Args)]
pub struct ManArgs {
    /// A command; without one the page of upbeat itself
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub words: Vec<String>,
    /// Write all pages into this folder: upbeat.1, upbeat-add.1 ...
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `upbeat man [COMMAND] [--dir DIR]`.
pub fn run(args: &ManArgs) -> Ended {
    let cli = help::command();
    if let Some(folder) = &args.dir {
        let pages = pages(&cli, "upbeat")?;
        write(folder, &pages)?;
        print(&format!("{} pages in {}\n", pages.len(), folder.display()));
        return Ok(0);
    }
    let path: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let Some(command) = at(&cli, &path) else {
        return Err(match path.as_slice() {
            [group, .., last] if at(&cli, &[group]).is_some() => hints::subcommand(group, &[(*last).to_owned()]),
            _ => hints::command(&args.words),
        }
        .into());
    };
    let name = names(&cli, &path).join("-");
    print_bytes(&page(command, &name)?);
    Ok(0)
}

/// The names by which commands are listed: an alias has the page of its command.
fn names(cli: &Command, path: &[&str]) -> Vec<String> {
    let mut names = vec!["upbeat".to_owned()];
    let mut here = cli;
    for word in path {
        let Some(next) = here.find_subcommand(word) else { break };
        names.push(next.get_name().to_owned());
        here = next;
    }
    names
}

/// All pages below a command, by their names.
fn pages(command: &Command, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = vec![(name.to_owned(), page(command, name)?)];
    for one in command.get_subcommands().filter(|one| !one.is_hide_set() && one.get_name() != "help") {
        all.extend(pages(one, &format!("{name}-{}", one.get_name()))?);
    }
    Ok(all)
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>> {
    // The colours of help are none of a page's; what is listed in groups there is listed by clap here.
    let plain = command.get_after_help().map(|text| anstream::adapter::strip_str(&text.ansi().to_string()).to_string());
    let has_commands = command.get_subcommands().any(|one| !one.is_hide_set());
    let usage = name.replace('-', " ");
    let command = command.clone().disable_help_subcommand(true).bin_name(usage).display_name(name.to_owned());
    let mut command = command.name(name.to_owned()).after_help("").styles(clap::builder::Styles::plain());
    let usage = command.render_usage().to_string().replace("Usage: ", "");
    let mut text = Vec::new();
    let man = Man::new(command).title(name.to_owned()).source(format!("upbeat {}", env!("CARGO_PKG_VERSION")));
    let render = || {
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        writeln!(text, ".SH SYNOPSIS\n{}", safe(&usage))?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if has_commands {
            man.render_subcommands_section(&mut text)?;
        }
        text.write_all(examples(&plain.unwrap_or_default()).as_bytes())?;
        match name {
            "upbeat" => Ok(()),
            _ => text.write_all(b".SH SEE ALSO\n.BR upbeat (1),\nfor the flags of every command\n"),
        }
    };
    let written = render();
    written.map_err(|why| Error::internal(format!("page of {name}: {why}")))?;
    Ok(text)
}

/// The examples as they are typed, what is said about them as prose.
fn examples(text: &str) -> String {
    let mut page = String::new();
    let mut is_typed = false;
    for line in text.lines() {
        if line == "Examples:" {
            page.push_str(".SH EXAMPLES\n");
            continue;
        }
        let begins = line.starts_with("  ");
        if begins != is_typed {
            page.push_str(if begins { ".nf\n" } else { ".fi\n.PP\n" });
            is_typed = begins;
        }
        page.push_str(&format!("{}\n", safe(line.trim_start())));
    }
    if is_typed {
        page.push_str(".fi\n");
    }
    page
}

/// The text as roff: hyphens that can be pasted, nothing that is a request.
fn safe(text: &str) -> String {
    let safe = text.replace('\\', "\\\\").replace('-', "\\-").replace('\'', "\\(aq");
    if safe.starts_with('.') { format!("\\&{safe}") } else { safe }
}

fn write(folder: &Path, pages: &[(String, Vec<u8>)]) -> Result<()> {
    let refuse = |why: std::io::Error| {
        Error::invalid("dir", format!("{} can't be written: {why}", folder.display()))
            .value(folder.display().to_string())
    };
    let refuse = |why| refuse(why).hint("name a folder that you may write: upbeat man --dir ~/.local/share/man/man1");
    std::fs::create_dir_all(folder).map_err(refuse)?;
    for (name, page) in pages {
        std::fs::write(folder.join(format!("{name}.1")), page).map_err(refuse)?;
    }
    Ok(())
}
