//! `new`: writes a small project.

use crate::exit::{Code, Failure};
use crate::program::Invocation;
use clap::Args;
use odeon::core::ServiceName;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Examples:
  odeon new orders
  odeon new orders --odeon ~/src/odeon
  odeon new orders --odeon https://git.example.org/odeon.git";

/// Where this program was built from: the default source of Odeon, as there is no published version yet.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What a project or its services use by name, and what rustc has itself.
const DIRECT: [&str; 9] =
    ["tokio", "serde", "serde-json", "schemars", "tracing", "std", "core", "alloc", "test"];

/// What can be typed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The name of the project and of its new directory
    name: String,
    /// Odeon's sources: a directory or a git URL [default: where this program was built]
    #[arg(long, value_name = "PATH|URL")]
    odeon: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Wrote<'a> {
    /// The new directory.
    directory: &'a Path,
    /// Its files.
    files: Vec<&'static str>,
}

/// Where the project finds Odeon.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Checkout(PathBuf),
    Repository(String),
}

/// Writes the project.
///
/// # Errors
/// The name is none, the directory exists, or Odeon's sources are not where they should be.
pub(crate) fn run(invocation: &Invocation, arguments: &Arguments) -> Result<Code, Failure> {
    let name = &arguments.name;
    name.parse::<ServiceName>().map_err(Failure::usage)?;
    if name.contains('/') {
        return Err(Failure::usage(format_args!("{name:?}: a project has no namespace")));
    }
    let origin = Origin::find(arguments.odeon.as_deref())?;
    if origin.depends_on(name) {
        return Err(Failure::usage(format_args!(
            "{name:?} is the name of a package that the project depends on"
        ))
        .advice("cargo tells two packages of one name apart badly: choose another one"));
    }
    let folder = Path::new(name);
    let mut files = Vec::new();
    let mut write = |file: &'static str, text: &str| {
        let path = folder.join(file);
        files.push(file);
        fs::write(&path, text).map_err(|e| Failure::failed(format_args!("{}: {e}", path.display())))
    };
    fs::create_dir(folder).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::failed(format_args!("{name} exists already")),
        _ => Failure::failed(format_args!("{name}: {e}")),
    })?;
    fs::create_dir(folder.join("src")).map_err(|e| Failure::failed(format_args!("{name}/src: {e}")))?;
    write("Cargo.toml", &manifest(name, &origin))?;
    write("src/main.rs", include_str!("main.rs.template"))?;
    write("README.md", &include_str!("README.md.template").replace("{{name}}", name))?;
    write(".gitignore", "/target\n/.odeon\n")?;
    if let Origin::Checkout(path) = &origin
        && let Ok(lock) = fs::read_to_string(path.join("Cargo.lock"))
    {
        // the versions that Odeon was tested with
        write("Cargo.lock", &lock)?;
    }
    if arguments.json {
        invocation.terminal.json(&Wrote { directory: folder, files })?;
        return Ok(Code::Done);
    }
    invocation.terminal.line(format_args!(
        "Wrote {name}/: a service with its test.\n\n  cd {name}\n  cargo test\n  cargo run -- up"
    ))?;
    Ok(Code::Done)
}

impl Origin {
    fn find(given: Option<&str>) -> Result<Self, Failure> {
        let text = given.unwrap_or(BUILT_FROM);
        let remote = text.contains("://") || text.starts_with("git@");
        if remote {
            return Ok(Self::Repository(text.into()));
        }
        let path = Path::new(text);
        let found = path.canonicalize().ok().filter(|path| path.join("actors/daemon/Cargo.toml").is_file());
        found.map(Self::Checkout).ok_or_else(|| {
            Failure::usage(format_args!("Odeon's sources are not in {text}"))
                .advice("say where they are with --odeon DIRECTORY or --odeon GIT-URL")
        })
    }

    /// Whether a package of this name is needed for a project: one of Odeon's, or what they depend on.
    fn depends_on(&self, name: &str) -> bool {
        // cargo and rustc take both for one
        let name = name.replace('_', "-");
        if name == "odeon" || name.starts_with("odeon-") || DIRECT.contains(&&*name) {
            return true;
        }
        let Self::Checkout(path) = self else { return false };
        let lock = fs::read_to_string(path.join("Cargo.lock")).unwrap_or_default();
        let mut names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        names.any(|known| known.replace('_', "-") == name)
    }

    /// The dependency on one of its packages, as the inside of an inline table.
    fn dependency(&self, folder: &str) -> String {
        match self {
            Self::Checkout(path) => {
                format!("path = {}", toml::Value::from(path.join(folder).display().to_string()))
            }
            Self::Repository(url) => format!("git = {}", toml::Value::from(url.as_str())),
        }
    }
}

fn manifest(name: &str, origin: &Origin) -> String {
    include_str!("Cargo.toml.template")
        .replace("{{name}}", name)
        .replace("{{odeon}}", &origin.dependency("runtime"))
        .replace("{{odeon-daemon}}", &origin.dependency("actors/daemon"))
        .replace("{{histograms}}", &origin.dependency("runtime/histograms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_finds_odeon_where_it_is() {
        let origin = Origin::Checkout("/src/\"odd\"".into());
        let manifest: toml::Table = manifest("orders", &origin).parse().expect("it is TOML");
        assert_eq!(manifest["package"]["name"].as_str(), Some("orders"));
        assert_eq!(manifest["dependencies"]["odeon"]["path"].as_str(), Some("/src/\"odd\"/runtime"));
        let git = Origin::Repository("https://git.example.org/odeon.git".into());
        assert_eq!(git.dependency("runtime"), "git = \"https://git.example.org/odeon.git\"");
    }

    #[test]
    fn sources_that_are_not_there_are_refused_with_advice() {
        let failure = Origin::find(Some("/nowhere")).expect_err("there is nothing");
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.to_string().contains("--odeon"), "{failure}");
    }
}
