//! The recipes under examples/: a merchant's application in five languages. Here: what can be seen without running them; what
//! they do, by the real toolchains, where those are asked for (`.ci/run` installs and asks).

mod application;
mod life;
mod toolchain;

use std::path::Path;

use koogate::fulfilment::event::EventName;

use toolchain::Recipe;

const RECIPES: [(&str, &str); 5] = [
    ("python", "app.py"),
    ("node", "app.js"),
    ("php", "hook.php"),
    ("go", "main.go"),
    ("java", "src/main/java/shop/Hook.java"),
];

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn every_recipe_names_every_event_and_has_its_readme() {
    for (language, file) in RECIPES {
        let folder = examples().join(language);
        let source = std::fs::read_to_string(folder.join(file)).unwrap();
        // order.notify is kept for later.
        for event in &EventName::ALL[..12] {
            assert!(source.contains(event.as_str()), "{language}: nothing is done about {}", event.as_str());
        }
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.contains("HOOK_SECRET_FILE") && readme.contains("KOOGATE_ADMIN"), "{language}");
    }
}

/// Each by the toolchain of its language: as a stranger's deliveries see it, then beside a koogate.
mod needs_toolchains {
    use super::*;

    fn check(build: fn(&Path) -> Recipe) {
        let folder = tempfile::tempdir().unwrap();
        let recipe = build(folder.path());
        application::answers_as_documented(&recipe);
        application::has_one_effect_and_one_answer_for_an_operation(&recipe);
        application::believes_nobody_but_koogate(&recipe);
        life::plays_a_whole_life(&recipe);
        life::refuses_and_takes_up_again(&recipe);
        life::reports_what_it_opened_later(&recipe);
        life::tells_a_restored_koogate_what_its_copy_lacks(&recipe);
    }

    #[test]
    #[ignore = "needs Python 3 with pip; .ci/run runs it"]
    fn the_python_recipe_does_everything_once() {
        check(toolchain::python);
    }

    #[test]
    #[ignore = "needs Node.js 22.13 or later and npm; .ci/run runs it"]
    fn the_node_recipe_does_everything_once() {
        check(toolchain::node);
    }

    #[test]
    #[ignore = "needs PHP 8.1 with SQLite; .ci/run runs it"]
    fn the_php_recipe_does_everything_once() {
        check(toolchain::php);
    }

    #[test]
    #[ignore = "needs Go and go-sqlite3 as Debian has it; .ci/run runs it"]
    fn the_go_recipe_does_everything_once() {
        check(toolchain::go);
    }

    #[test]
    #[ignore = "needs a JDK, and Spring, Jackson and sqlite-jdbc as Debian has them; .ci/run runs it"]
    fn the_java_recipe_does_everything_once() {
        check(toolchain::java);
    }
}
