//! Files as they are found: missing, huge, half written, not text, behind symlinks.

use std::fs;
use std::path::{Path, PathBuf};

use weir_config::{BackendKind, Config, DEFAULT, ModelPath};

const TEXT: &str =
    "[[route]]\nname = \"r\"\npath = \"/r\"\nbackend = \"b\"\n[backend.b]\nmodel = \"m.model\"\n";

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("weir.toml");
    fs::write(&path, bytes).expect("it is writable");
    (folder, path)
}

/// The one fault of a file, without the file's name.
fn fault(path: &Path) -> String {
    let faults = Config::load(path).expect_err("the file has a fault");
    let [fault] = faults.list() else { panic!("one fault: {faults}") };
    assert_eq!(fault.file, path.display().to_string());
    format!("{}:{} {}", fault.line, fault.column, fault.message)
}

fn model(config: &Config) -> ModelPath {
    let BackendKind::Local(local) = &config.backends[0].kind else { panic!("a local backend") };
    local.model.clone()
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let (folder, path) = written(TEXT.as_bytes());
    let loaded = Config::load(&path).unwrap();
    assert_eq!(loaded.config.base, folder.path());
    assert_eq!(model(&loaded.config), ModelPath::File(folder.path().join("m.model")));
}

#[test]
fn a_symlink_is_not_resolved() {
    let (target, path) = written(TEXT.as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("weir.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let loaded = Config::load(&link).unwrap();
    assert_eq!(model(&loaded.config), ModelPath::File(folder.path().join("m.model")));
    drop(target);
}

#[test]
fn a_model_that_is_a_folder_is_refused_as_not_in_this_build() {
    let (folder, path) = written(TEXT.as_bytes());
    fs::create_dir(folder.path().join("m.model")).unwrap();
    assert!(fault(&path).starts_with("6:9 running an MLflow model folder is not in this build"));
}

#[test]
fn a_file_that_is_missing_or_a_folder_is_one_fault() {
    let folder = tempfile::tempdir().unwrap();
    assert!(
        fault(&folder.path().join("no.toml"))
            .starts_with("0:0 failed to read the configuration: No such file")
    );
    assert!(fault(folder.path()).starts_with("0:0 failed to read the configuration: "));
}

#[test]
fn a_file_that_is_not_utf_8_is_told_where() {
    let (_folder, path) = written(b"# ok\n# caf\xe9\n");
    assert_eq!(fault(&path), "2:6 the file is not UTF-8 from here on (save it as UTF-8)");
}

#[test]
fn a_huge_file_is_not_read_to_its_end() {
    let (_folder, path) = written(&vec![b'\n'; (4 << 20) + 1]);
    assert_eq!(fault(&path), "0:0 the file is over 4 MiB long (is it a configuration?)");
}

#[test]
fn an_empty_file_is_refused() {
    let (_folder, path) = written(b"");
    assert!(fault(&path).starts_with("1:1 there is no route"));
}

#[test]
fn a_truncated_file_is_refused_unless_it_is_whole_in_itself() {
    let cut = TEXT.find("m.model").unwrap();
    let (_folder, path) = written(&TEXT.as_bytes()[..cut]);
    assert!(fault(&path).starts_with("6:10 this is not TOML: "), "{}", fault(&path));
}

#[test]
fn the_embedded_default_reads_the_same_from_a_file() {
    let (folder, path) = written(DEFAULT.as_bytes());
    let loaded = Config::load(&path).unwrap();
    let expect = Config { base: folder.path().to_owned(), ..Config::default() };
    assert_eq!(loaded.config, expect);
    assert_eq!(loaded.source_digest, Config::embedded().source_digest);
}
