//! Words that the code compares and that programs outside rely on: each list of them is an enum, so that a word that is
//! misspelt does not compile, and every list of them is made from the enum.

/// Makes an enum whose variants have words: `as_str`, `from_word`, `ALL`, `Display`, and the same words in JSON. What is read from
/// JSON and has no such word is an error, or what stands behind `or`: the worst that it may mean.
macro_rules! words {
    ($(#[$about:meta])* pub enum $name:ident $(or $unknown:ident)? {
        $($(#[$variant_about:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_about])* $variant,)+
        }

        impl $name {
            /// Every one, in the order in which they are listed.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }

            /// The one with this word; `None` where there is none.
            pub fn from_word(word: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<$name, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                let known = $name::from_word(&word)$(.or(Some($name::$unknown)))?;
                known.ok_or_else(|| {
                    let known: Vec<_> = $name::ALL.iter().map(|known| known.as_str()).collect();
                    serde::de::Error::custom(format_args!(
                        "{} is none of {}",
                        $crate::base::quoted::Quoted(&word),
                        known.join(", ")
                    ))
                })
            }
        }
    };
}

pub(crate) use words;
