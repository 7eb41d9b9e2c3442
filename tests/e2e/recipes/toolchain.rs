//! How each recipe is built and started. What is built goes into a scratch folder, never into examples/.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::examples;

/// A recipe that is ready to start, in as many folders as a test likes.
pub struct Recipe {
    /// Starts it; the settings come by environment.
    pub server: Box<dyn Fn() -> Command>,
    /// What opens accounts in the background, where the server itself does not.
    pub worker: Option<Box<dyn Fn() -> Command>>,
}

/// Runs a step of a build to its end.
fn step(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&told));
}

pub fn python(folder: &Path) -> Recipe {
    let packages = folder.join("packages");
    let pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--target"];
    step(Command::new("python3").args(pip).arg(&packages).arg("-r").arg(examples().join("python/requirements.txt")));
    let server = move || {
        let mut command = Command::new("python3");
        // Nothing is left beside the source.
        command.arg(examples().join("python/app.py")).env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    Recipe { server: Box::new(server), worker: None }
}

pub fn node(folder: &Path) -> Recipe {
    for file in ["package.json", "package-lock.json", "app.js"] {
        std::fs::copy(examples().join("node").join(file), folder.join(file)).unwrap();
    }
    // npm runs by whatever Node.js is there; the recipe needs a newer one.
    step(
        Command::new("npm").args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder),
    );
    let node = std::env::var("KOOGATE_NODE").unwrap_or_else(|_| "node".to_owned());
    let app = folder.join("app.js");
    let server = move || {
        let mut command = Command::new(&node);
        command.arg("--no-warnings").arg(&app);
        command
    };
    Recipe { server: Box::new(server), worker: None }
}

pub fn php(_: &Path) -> Recipe {
    let hook = examples().join("php/hook.php");
    let (served, worked) = (hook.clone(), hook);
    let server = move || {
        let mut command = Command::new("sh");
        // PHP's own server wants its address as an argument. Several processes, as php-fpm has them.
        command.args(["-c", "exec php -S 127.0.0.1:$PORT \"$0\""]).arg(&served).env("PHP_CLI_SERVER_WORKERS", "4");
        command
    };
    let worker = move || {
        let mut command = Command::new("php");
        command.arg(&worked);
        command
    };
    Recipe { server: Box::new(server), worker: Some(Box::new(worker)) }
}

pub fn go(folder: &Path) -> Recipe {
    // The same version as go.mod names, from where Debian puts it: CI reaches no Go module proxy.
    let mut module = std::fs::read_to_string(examples().join("go/go.mod")).unwrap();
    module.push_str("\nreplace github.com/mattn/go-sqlite3 => /usr/share/gocode/src/github.com/mattn/go-sqlite3\n");
    let (file, hook) = (folder.join("test.mod"), folder.join("hook"));
    std::fs::write(&file, module).unwrap();
    let mut build = Command::new("go");
    build.args(["build", "-mod=mod", "-tags", "libsqlite3", "-modfile"]).arg(file).arg("-o").arg(&hook).arg(".");
    step(build.current_dir(examples().join("go")).env("GOPROXY", "off").env("GOFLAGS", ""));
    Recipe { server: Box::new(move || Command::new(&hook)), worker: None }
}

pub fn java(folder: &Path) -> Recipe {
    let jars = [
        "spring3-core",
        "spring3-beans",
        "spring3-context",
        "spring3-aop",
        "spring3-expression",
        "spring3-web",
        "spring3-web.servlet",
        "spring3-test",
        "jackson-core",
        "jackson-databind",
        "jackson-annotations",
        "servlet-api",
        "sqlite-jdbc",
        "commons-logging",
    ];
    let jars = jars.map(|jar| format!("/usr/share/java/{jar}.jar"));
    for jar in &jars {
        assert!(Path::new(jar).exists(), "{jar} is not there: see .ci/run for Debian's packages");
    }
    // Spring Boot is out of reach of CI. The controller is the recipe's own, under Spring's dispatcher.
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/SpringHost.java");
    let hook = examples().join("java/src/main/java/shop/Hook.java");
    let classes = folder.join("classes");
    let compile = ["--release", "17", "-Xlint:deprecation,rawtypes,unchecked", "-Werror", "-cp", &jars.join(":"), "-d"];
    step(Command::new("javac").args(compile).arg(&classes).arg(hook).arg(host));
    let path = std::env::join_paths(std::iter::once(classes).chain(jars.map(PathBuf::from))).unwrap();
    let server = move || {
        let mut command = Command::new("java");
        command.arg("-cp").arg(&path).arg("SpringHost");
        command
    };
    Recipe { server: Box::new(server), worker: None }
}
