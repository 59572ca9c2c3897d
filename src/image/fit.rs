//! FIT, U-Boot's newer image: a device tree whose `/images` hold data and hashes of it, and whose `/configurations` say which of
//! them belong together (`doc/usage/fit/source_file_format.rst` of U-Boot).
//!
//! Every hash is checked. The default configuration decides which kernel counts.

#![forbid(unsafe_code)]

use crate::base::bad_data::bad;
use crate::base::format::Format;
use crate::base::machine::{Processor, Role};
use crate::base::quoted::Quoted;
use crate::base::units::Fields;
use crate::bytes::store::Store;
use crate::image::content::Content;
use crate::image::device_tree::{self, Event, HEADER, MAGIC, MadeFor, Tree, strings};
use crate::image::digest::{self, Digest};
use crate::image::within::{self, Declared};
use crate::image::{piece, processor};
use std::io;
use std::ops::Range;

/// Number of images, and of configurations; bounds memory.
const NODES: usize = 256;
/// Hashes of an image.
const HASHES: usize = 4;
/// Bytes of a device tree that is packed; bounds memory.
const TREE: usize = 512 << 10;
/// How often all of it may be read for them: the images do not overlap.
const PASSES: u64 = 4;

#[derive(Default)]
struct Hash {
    algorithm: String,
    value: Vec<u8>,
}

#[derive(Default)]
struct Entry {
    name: String,
    kind: String,
    arch: Option<String>,
    compression: String,
    os: String,
    data: Option<Range<u64>>,
    /// Of data behind the tree.
    outside: Option<u64>,
    position: Option<u64>,
    size: Option<u64>,
    hashes: Vec<Hash>,
}

impl Entry {
    fn is_kernel(&self) -> bool {
        // The second is one that runs where it lies (`IH_TYPE_KERNEL_NOLOAD`).
        ["kernel", "kernel_noload"].contains(&self.kind.as_str())
    }
}

#[derive(Default)]
struct Configuration {
    name: String,
    kernel: Option<String>,
    ramdisk: Option<String>,
    /// Every image that it names, in the order of its properties.
    named: Vec<String>,
    device_trees: Vec<String>,
    compatible: Vec<String>,
}

/// What a FIT has.
#[derive(Default)]
struct Fit {
    /// Bytes of its tree: what is outside lies behind it.
    total: u64,
    images: Vec<Entry>,
    configurations: Vec<Configuration>,
    default: Option<String>,
}

/// Recognises a FIT and checks the hashes of its images.
pub fn recognise(store: &Store, range: &Range<u64>) -> io::Result<Option<Content>> {
    let mut header = [0; HEADER];
    if !store.read_head(range, &mut header)? || Fields(&header).be32(0) != Some(MAGIC) {
        return Ok(None);
    }
    let mut content = Content {
        length: u64::from(Fields(&header).be32(4).unwrap_or_default()),
        ..Content::new(Format::Fit, Role::Kernel)
    };
    match inside(store, range, &mut content) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => content.problem = Some(error.to_string()),
        other => other?,
    }
    Ok(Some(content))
}

fn inside(store: &Store, range: &Range<u64>, content: &mut Content) -> io::Result<()> {
    let Some(tree) = Tree::open(store, range)? else {
        return Ok(());
    };
    let fit = read(&tree)?;
    if fit.images.is_empty() {
        content.format = Format::DeviceTree;
        content.role = Role::Other;
        content.title = Format::DeviceTree.described().to_owned();
        return Ok(());
    }
    verify(store, range, &fit, content)?;
    match content.length > range.end - range.start {
        true => Ok(()),
        false => decide(store, range, &fit, content),
    }
}

/// Walks the tree.
fn read(tree: &Tree<'_>) -> io::Result<Fit> {
    let mut fit = Fit {
        total: tree.total,
        ..Fit::default()
    };
    tree.walk(|path, event| {
        let names: Vec<_> = path.iter().skip(1).map(String::as_str).collect();
        match (names.as_slice(), event) {
            (["images", name], Event::Node) => {
                let name = (*name).to_owned();
                fit.images.push(Entry {
                    name,
                    ..Entry::default()
                });
            }
            (["images", _, hash], Event::Node) if hash.starts_with("hash") => {
                let hashes = &mut last(&mut fit.images)?.hashes;
                if hashes.len() == HASHES {
                    return Err(bad("an image of the fit has more hashes than any has"));
                }
                hashes.push(Hash::default());
            }
            (["configurations", name], Event::Node) => {
                let name = (*name).to_owned();
                fit.configurations.push(Configuration {
                    name,
                    ..Configuration::default()
                });
            }
            (["configurations"], Event::Property("default", value)) => {
                fit.default = strings(&tree.value(&value)?).pop();
            }
            (["images", _], Event::Property(name, value)) => property(tree, last(&mut fit.images)?, name, value)?,
            (["images", _, hash], Event::Property(name, value)) if hash.starts_with("hash") => {
                let hash = last(&mut last(&mut fit.images)?.hashes)?;
                match name {
                    "algo" => hash.algorithm = strings(&tree.value(&value)?).pop().unwrap_or_default(),
                    "value" => hash.value = tree.value(&value)?,
                    _ => (),
                }
            }
            (["configurations", _], Event::Property(name, value)) => {
                let configuration = last(&mut fit.configurations)?;
                let words = || tree.value(&value).map(|bytes| strings(&bytes));
                match name {
                    "kernel" => configuration.kernel = words()?.pop(),
                    "ramdisk" => configuration.ramdisk = words()?.pop(),
                    "fdt" => configuration.device_trees = words()?,
                    "compatible" => configuration.compatible = words()?,
                    _ => (),
                }
                if ["kernel", "ramdisk", "fdt", "loadables", "firmware", "setup", "fpga"].contains(&name) {
                    configuration.named.extend(words()?);
                }
            }
            _ => (),
        }
        match fit.images.len().max(fit.configurations.len()) > NODES {
            true => Err(bad(format_args!("the fit has more than {NODES} images"))),
            false => Ok(()),
        }
    })?;
    Ok(fit)
}

fn last<T>(all: &mut [T]) -> io::Result<&mut T> {
    all.last_mut().ok_or_else(|| bad("the fit's tree makes no sense"))
}

fn property(tree: &Tree<'_>, image: &mut Entry, name: &str, value: Range<u64>) -> io::Result<()> {
    if name == "data" {
        image.data = Some(value);
        return Ok(());
    }
    let text = || {
        tree.value(&value)
            .map(|bytes| strings(&bytes).pop().unwrap_or_default())
    };
    let number = || tree.value(&value).map(|bytes| Fields(&bytes).be32(0).map(u64::from));
    match name {
        "type" => image.kind = text()?,
        "arch" => image.arch = Some(text()?),
        "compression" => image.compression = text()?,
        "os" => image.os = text()?,
        "data-offset" => image.outside = number()?,
        "data-position" => image.position = number()?,
        "data-size" => image.size = number()?,
        _ => (),
    }
    Ok(())
}

/// Where an image's data is.
fn place(range: &Range<u64>, total: u64, image: &Entry) -> io::Result<Range<u64>> {
    // Data outside begins behind the tree, at a multiple of four.
    let start = image
        .position
        .or(image.outside.map(|offset| total.next_multiple_of(4) + offset));
    match (&image.data, start, image.size) {
        (Some(data), None, _) => Ok(data.clone()),
        // Boot loaders take the one or the other.
        (Some(_), Some(_), _) => Err(bad(format_args!(
            "the fit's {} has its data in two places",
            Quoted(&image.name)
        ))),
        (None, Some(start), Some(size)) => Ok(range.start + start..range.start + start + size),
        _ => Err(bad(format_args!("the fit's {} has no data", Quoted(&image.name)))),
    }
}

/// Finds out how long it is, and checks every hash.
fn verify(store: &Store, range: &Range<u64>, fit: &Fit, content: &mut Content) -> io::Result<()> {
    let mut without = Vec::new();
    let mut work = (range.end - range.start).saturating_mul(PASSES);
    for image in &fit.images {
        let data = place(range, fit.total, image)?;
        content.length = content.length.max(data.end - range.start);
        if data.end > range.end {
            return Ok(());
        }
        let mut digests = Vec::new();
        for hash in &image.hashes {
            let known = Digest::named(&hash.algorithm);
            digests.push(known.ok_or_else(|| {
                bad(format_args!(
                    "the fit's {} has a hash of a kind that is not known: {}",
                    Quoted(&image.name),
                    Quoted(&hash.algorithm)
                ))
            })?);
        }
        work = work
            .checked_sub(data.end.saturating_sub(data.start))
            .ok_or_else(|| bad("the images of the fit overlap"))?;
        let found = digest::all(store, data, digests)?;
        let failed = image
            .hashes
            .iter()
            .zip(found)
            .find(|(hash, found)| hash.value != *found);
        if let Some((hash, _)) = failed {
            return Err(bad(format_args!(
                "the fit's {} fails its {}",
                Quoted(&image.name),
                hash.algorithm
            )));
        }
        if image.hashes.is_empty() {
            without.push(image.kind.as_str());
        }
    }
    let kinds: Vec<_> = fit.images.iter().map(|image| image.kind.as_str()).collect();
    content.title = format!("with {}", kinds.join(", "));
    content.checked = without.is_empty();
    if !content.checked {
        content.title = format!("{}; without a hash: {}", content.title, without.join(", "));
    }
    Ok(())
}

impl Fit {
    /// The configuration that the boot loader takes by itself.
    fn configuration(&self) -> io::Result<Option<&Configuration>> {
        let Some(default) = &self.default else {
            // Without a default the boot loader is told, and only one can be meant if there is only one.
            return Ok(match self.configurations.as_slice() {
                [only] => Some(only),
                _ => None,
            });
        };
        let named = self.configurations.iter().find(|one| one.name == *default);
        let missing = || {
            bad(format_args!(
                "the fit has no configuration {}, its default",
                Quoted(default)
            ))
        };
        named.ok_or_else(missing).map(Some)
    }

    /// The image that a configuration names.
    fn image(&self, name: &str) -> io::Result<&Entry> {
        let named = self.images.iter().find(|image| image.name == name);
        named.ok_or_else(|| {
            bad(format_args!(
                "the fit's configuration wants {}, which it has not",
                Quoted(name)
            ))
        })
    }
}

/// The processor of images that run together: none of them is for another one.
fn processor_of<'a>(images: impl Iterator<Item = &'a Entry>) -> Option<Processor> {
    let mut processors: Vec<Processor> = images.map(|image| processor::named(image.arch.as_deref())).collect();
    processors.dedup();
    match processors.len() {
        0 | 1 => processors.pop(),
        _ => {
            let names: Vec<_> = processors.iter().map(Processor::as_str).collect();
            Some(Processor::Other(names.join(" or ")))
        }
    }
}

/// Which kernel counts, and for what it is.
fn decide(store: &Store, range: &Range<u64>, fit: &Fit, content: &mut Content) -> io::Result<()> {
    let configuration = fit.configuration()?;
    let image = |name: &String| fit.image(name);
    for name in configuration.iter().flat_map(|configuration| &configuration.named) {
        image(name)?;
    }
    let kernels: Vec<&Entry> = match configuration {
        Some(configuration) => configuration.kernel.iter().map(image).collect::<io::Result<_>>()?,
        None => fit.images.iter().filter(|image| image.is_kernel()).collect(),
    };
    if !kernels.iter().any(|kernel| kernel.is_kernel()) {
        content.role = Role::Other;
    }
    let ramdisk = configuration.and_then(|configuration| configuration.ramdisk.as_ref());
    // A boot loader holds that of the ramdisk against its own too (`fit_image_load` in U-Boot's `boot/image-fit.c`).
    content.arch = processor_of(kernels.iter().copied().chain(ramdisk.map(image).transpose()?));
    for kernel in kernels
        .iter()
        .filter(|kernel| kernel.is_kernel() && kernel.os == "linux")
    {
        let declared = Declared::Name(&kernel.compression);
        let problem = within::problem(store, &place(range, fit.total, kernel)?, declared, content)?;
        let said = problem.map(|problem| format!("of the fit's {}: {problem}", Quoted(&kernel.name)));
        content.doubt = content.doubt.take().or(said);
    }
    let Some(configuration) = configuration else {
        return Ok(());
    };
    let named = configuration.named.iter().map(image).collect::<io::Result<Vec<_>>>()?;
    for root in named
        .into_iter()
        .filter(|image| ["ramdisk", "filesystem"].contains(&image.kind.as_str()))
    {
        let what = format!("a {}", root.kind);
        let wrong = piece::root(store, &place(range, fit.total, root)?, &what, content)?;
        let said = wrong.map(|wrong| format!("of the fit's {}: {wrong}", Quoted(&root.name)));
        content.doubt = content.doubt.take().or(said);
    }
    let tree = match configuration.device_trees.first().map(image).transpose()? {
        Some(tree) => tree_of(store, &place(range, fit.total, tree)?, tree, content)?,
        None => MadeFor::default(),
    };
    content.soc = tree.soc;
    content.compatible = match configuration.compatible.is_empty() {
        true => tree.compatible,
        false => configuration.compatible.clone(),
    };
    Ok(())
}

/// What a device tree is for, also of a packed one.
fn tree_of(store: &Store, data: &Range<u64>, tree: &Entry, content: &mut Content) -> io::Result<MadeFor> {
    let none = || format!("of the fit's {}: it is no device tree", Quoted(&tree.name));
    let found = match tree.compression.as_str() {
        "" | "none" => device_tree::made_for(store, data)?,
        _ => match within::unpacked(store, data, TREE)? {
            Some(bytes) => {
                let length = bytes.len() as u64;
                device_tree::made_for(&Store::Memory(bytes), &(0..length))?
            }
            None => {
                content
                    .title
                    .push_str("; its device tree is packed, and for which box it is not known");
                content.checked = false;
                return Ok(MadeFor::default());
            }
        },
    };
    if found.is_none() {
        content.doubt.get_or_insert_with(none);
    }
    Ok(found.unwrap_or_default())
}
