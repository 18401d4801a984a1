//! The one place that knows there are two databases: each query is written once and dispatched here.

/// Declares a module's statements, so that a test can prepare each of them on both databases.
macro_rules! statements {
    ($($name:ident = $sql:expr;)+) => {
        $(const $name: &str = $sql;)+
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((concat!(module_path!(), "::", stringify!($name)), $name)),+];
    };
}

/// Runs a statement that answers rows: `rows!(fetch_all, conn, RowType, SQL, binds…)`.
macro_rules! rows {
    ($method:ident, $conn:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $conn.exec() {
            $crate::db::Exec::Sqlite(connection) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.$method(connection).await
            }
            $crate::db::Exec::Postgres(connection) => {
                sqlx::query_as::<_, $row>($sql)$(.bind($bind))*.$method(connection).await
            }
        }
    };
}

/// Runs a statement that answers nothing; gives the number of rows it touched: `execute!(conn, SQL, binds…)`.
macro_rules! execute {
    ($conn:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $conn.exec() {
            $crate::db::Exec::Sqlite(connection) => {
                sqlx::query($sql)$(.bind($bind))*.execute(connection).await.map(|done| done.rows_affected())
            }
            $crate::db::Exec::Postgres(connection) => {
                sqlx::query($sql)$(.bind($bind))*.execute(connection).await.map(|done| done.rows_affected())
            }
        }
    };
}
