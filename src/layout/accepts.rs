//! Which images a profile knows the place of.

#![forbid(unsafe_code)]

use crate::board::profile::{Accepts, Profile};
use crate::image::Image;
use crate::layout::members;

/// What the profile says about this image, if it knows it.
pub fn accepted<'p>(profile: &'p Profile, image: &Image) -> Option<&'p Accepts> {
    let content = image.parts.first().and_then(|part| part.content.as_ref());
    profile.accepts.iter().find(|accepts| {
        accepts.format == image.format
            && accepts
                .role
                .is_none_or(|role| content.is_some_and(|content| content.role == role))
            && accepts.size.is_none_or(|size| size == image.payload)
            && members::mapped(accepts).is_none_or(|choices| members::chosen(image, &choices).is_ok())
    })
}
