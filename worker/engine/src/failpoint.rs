//! Places where a fault test can stop a process, see `chaos.rs`.

/// Marks a place where a build with the feature `chaos` can be killed, stopped, delayed or made to fail; without the
/// feature it is nothing at all. With a second argument, the place can also return that error.
///
/// The feature is that of the crate which uses the macro.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "chaos")]
        $crate::chaos::reach($name);
    };
    ($name:literal, $error:expr) => {
        #[cfg(feature = "chaos")]
        if $crate::chaos::reach_or_fail($name) {
            return Err($error);
        }
    };
}
