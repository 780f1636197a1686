//! Known failures of classes that two class loaders have.

use super::KnownFailure;

/// The failure of a library that is on the class path twice: two class loaders have its classes.
pub(super) const TWICE: &[KnownFailure] = known_failures! {
    // Source: HotSpot's `SystemDictionary`, Kafka's `Utils.newInstance`, and Flink's `FactoryUtil`.
    Libraries:
        "LinkageError" & "loader constraint violation",
        "is not an instance of org.apache.kafka.",
        "Multiple factories for identifier" =>
        "the library is twice on the class path, in the program's jar and in /opt/flink/lib: remove it from one of them";
};

/// Whether a class is cast or assigned to itself: two class loaders have it.
/// Source: HotSpot's `SharedRuntime::generate_class_cast_message`, which Java 11 changed, and `java.io.ObjectStreamClass`.
pub(super) fn is_cast_to_itself(text: &str) -> bool {
    text.lines().any(|line| {
        let casts = line.split_once(" cannot be cast to ").map(|(from, to)| {
            let to = to.strip_prefix("class ").unwrap_or(to);
            (from.rsplit(' ').next(), to.split(' ').next())
        });
        let assigns = || {
            let (from, to) = line
                .split_once("cannot assign instance of ")?
                .1
                .split_once(" of type ")?;
            Some((from.split(' ').next(), to.split(' ').next()))
        };
        casts.or_else(assigns).is_some_and(|(from, to)| from == to)
    })
}
