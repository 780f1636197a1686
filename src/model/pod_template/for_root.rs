//! Finds the programs in a container's command which only root may run.

/// Words before the command in a script, or in the arguments of another program.
const BEFORE: [&str; 11] = [
    "!", "-exec", "do", "else", "env", "exec", "if", "sudo", "then", "xargs", "{",
];
/// What ends a command in a script.
const ENDS: [char; 7] = ['\n', ';', '&', '|', '(', ')', '`'];

/// The first program that changes what only root may change, as the container's command and arguments call it.
pub(super) fn program<'a>(texts: &[&'a str]) -> Option<&'a str> {
    let is_flag = |text: &str| text.starts_with('-') && !text.starts_with("--") && text.contains('c');
    // What a shell gets by `-c`, or by several flags in one, such as `-ec`.
    let pairs = texts.iter().zip(texts.iter().skip(1));
    let scripts = pairs.filter(|(flag, _)| is_flag(flag)).map(|(_, script)| *script);
    let mut commands = scripts.flat_map(|script| script.split(ENDS));
    let found = commands.find_map(|command| in_command(&command.split_whitespace().collect::<Vec<_>>()));
    found.or_else(|| in_command(texts))
}

fn in_command<'a>(words: &[&'a str]) -> Option<&'a str> {
    let found = words.iter().enumerate().find(|&(at, &word)| {
        // An assignment, too, can be before a command.
        let before = at.checked_sub(1).map(|at| words[at]);
        let is_command = before.is_none_or(|before| BEFORE.contains(&before) || before.contains('='));
        let (folder, program) = word.rsplit_once('/').unwrap_or(("bin", word));
        is_command && folder.ends_with("bin") && needs_root(program, &words[at + 1..])
    });
    found.map(|(_, word)| *word)
}

fn needs_root(program: &str, arguments: &[&str]) -> bool {
    match program {
        "apk" | "apt-get" => true,
        // The owner of a file may give it to another group of the owner.
        "chown" => {
            let owner = arguments.iter().find(|argument| !argument.starts_with('-'));
            owner.is_some_and(|owner| !owner.trim_start_matches(['"', '\'']).starts_with(':'))
        }
        // Without a value it only reads.
        "sysctl" => arguments
            .iter()
            .any(|argument| argument.contains('=') || *argument == "-p"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_for_root_are_found_where_a_command_begins() {
        for script in [
            "chown 9999 /data",
            "mkdir -p /data && chown -R 9999:9999 /data",
            "mkdir /data\n\tchown 9999 /data",
            "[ -e /data ] || /bin/chown 9999 /data",
            "if [ -d /data ]; then chown 9999 /data; fi",
            "sudo chown 9999 /data",
            "A=b apt-get install -y curl",
            "find /data -exec chown 9999 {} +",
            "ls | xargs chown 9999",
            "X=$(apk info)",
            "sysctl -w vm.max_map_count=1",
            "/usr/sbin/sysctl -p",
        ] {
            assert!(program(&["sh", "-ec", script]).is_some(), "{script}");
        }
        for script in [
            "rm -rf /var/cache/apk",
            "rm -rf /var/lib/apt-get/x; echo apk",
            "sysctl -n vm.max_map_count",
            "chown :group own-file",
            "chown -R ':group' own-file",
            "# chown 9999 /data",
            "cat chown",
            "echo -c; ./bin2/chown 9999 /data",
        ] {
            assert_eq!(program(&["sh", "-ec", script]), None, "{script}");
        }
        assert_eq!(program(&["/bin/chown", "-c", "9999", "/data"]), Some("/bin/chown"));
        assert_eq!(program(&["apk", "add", "curl"]), Some("apk"));
        assert_eq!(program(&["cat", "/sbin/apk", "chown"]), None);
        assert_eq!(program(&[]), None);
    }
}
