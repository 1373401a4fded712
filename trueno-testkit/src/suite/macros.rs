//! The callbacks that the lists of cases are expanded with. One list per suite is written once, in
//! its `for_each_…_case!` macro; the names in `CASES` and an adapter's tests both come from it.

/// Expands a list of cases to their names.
#[doc(hidden)]
#[macro_export]
macro_rules! __case_names {
    ({} $($theme:ident { $($case:ident),+ $(,)? })+) => {
        &[$($(stringify!($case)),+),+]
    };
}

/// Expands a list of cases to one test per case, named after it, and one that reports their number.
#[doc(hidden)]
#[macro_export]
macro_rules! __case_tests {
    ({ $port:ident, $adapter:expr, $factory:expr } $($theme:ident { $($case:ident),+ $(,)? })+) => {
        $($(
            #[test]
            fn $case() {
                $crate::suite::run(
                    stringify!($port),
                    stringify!($case),
                    async { $crate::$port::World::new(($factory)().await).await },
                    $crate::$port::$theme::$case,
                );
            }
        )+)+

        #[test]
        fn conformance_case_count() {
            $crate::suite::report(
                $adapter,
                stringify!($port),
                &[$($(stringify!($case)),+),+],
                $crate::$port::CASES,
            );
        }
    };
}
