//! Tables of texts in tests, a row in a line.

/// The columns of a row of a table, which have ` | ` between them.
pub(crate) fn columns<const N: usize>(row: &str) -> [&str; N] {
    let columns: Vec<&str> = row.splitn(N, " | ").collect();
    columns.try_into().unwrap_or_else(|_| panic!("{row}"))
}
