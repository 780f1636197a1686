//! `kubectl-flink`, the program: see the library.

fn main() -> std::process::ExitCode {
    kubectl_flink::main(std::env::args_os())
}
