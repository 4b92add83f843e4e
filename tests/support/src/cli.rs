//! The binary as a command that ends.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary at this path.
#[derive(Clone, Copy, Debug)]
pub struct Cli(pub &'static str);

impl Cli {
    /// What it does in a folder.
    pub fn run(self, folder: &Path, args: &[&str]) -> Output {
        Command::new(self.0).args(args).current_dir(folder).output().expect("the binary starts")
    }

    /// Standard output of a call that succeeds.
    #[track_caller]
    pub fn said(self, folder: &Path, args: &[&str]) -> String {
        let output = self.run(folder, args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("words are UTF-8")
    }

    /// Standard error of a call that fails with exit code 1.
    #[track_caller]
    pub fn refused(self, folder: &Path, args: &[&str]) -> String {
        let output = self.run(folder, args);
        let said = String::from_utf8(output.stderr).expect("words are UTF-8");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        said
    }
}

/// That a text has all of these in it.
#[track_caller]
pub fn holds(text: &str, expect: &[&str]) {
    for expect in expect {
        assert!(text.contains(expect), "no {expect:?} in: {text}");
    }
}
