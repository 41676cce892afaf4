//! Closed lists of words: enums of which something is counted, or read back, for each variant.
//!
//! Such an enum needs a list of its variants (`ALL`), and a list that is typed beside it can lack one: that compiles, and then a number is not read
//! back, a metric has no line, a counter is indexed past its end. So the list is made of the enum, from the one place where the variants stand.

/// An enum that knows its variants: it gets `ALL`, in the order in which they stand, and `place`, where each stands in that order.
///
/// Numbers may be given to the variants, if they have no holes and go up with the order; anything else does not compile.
///
/// ```
/// nightlatch_core::listed! {
///     /// What a door can be.
///     #[derive(Clone, Copy, Debug, PartialEq, Eq)]
///     pub enum Door {
///         /// It lets through.
///         Open = 1,
///         /// It does not.
///         Shut = 2,
///     }
/// }
/// assert_eq!(Door::ALL, [Door::Open, Door::Shut]);
/// assert_eq!(Door::Shut.place(), 1);
/// ```
///
/// ```compile_fail
/// nightlatch_core::listed! {
///     /// What a door can be.
///     #[derive(Clone, Copy)]
///     pub enum Door {
///         /// It lets through.
///         Open = 1,
///         /// It does not.
///         Shut = 3,
///     }
/// }
/// ```
#[macro_export]
macro_rules! listed {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$about:meta])* $variant:ident $(= $number:literal)? ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $( $(#[$about])* $variant $(= $number)?, )+
        }

        impl $name {
            /// Every one, in the order in which they stand.
            $vis const ALL: [$name; [$( stringify!($variant) ),+].len()] = [$( $name::$variant ),+];

            /// Where it stands in [`ALL`](Self::ALL): what is kept for each has this index.
            #[must_use]
            $vis const fn place(self) -> usize {
                self as usize - $name::ALL[0] as usize
            }
        }

        const _: () = {
            let mut place = 0;
            while place < $name::ALL.len() {
                assert!($name::ALL[place].place() == place, "the numbers have a hole, or do not go up");
                place += 1;
            }
        };
    };
}
