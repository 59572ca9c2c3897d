//! What is written: two families of images, so that each tool in its turn finds every block different.

/// Bytes of the smallest erase block among the chips.
pub const BLOCK: usize = 128 << 10;
/// Blocks of an image, or as many stretches of it.
pub const BLOCKS: usize = 100;

/// How much of an image is new to the flash, in the order in which the images are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Everything,
    Nothing,
    One,
    Thirty,
}

impl Case {
    pub const ALL: [Case; 4] = [Case::Everything, Case::Nothing, Case::One, Case::Thirty];

    /// Of the image's [`BLOCKS`], those that differ from what is there.
    pub fn changed_blocks(self) -> usize {
        match self {
            Case::Everything => BLOCKS,
            Case::Nothing => 0,
            Case::One => 1,
            Case::Thirty => 30,
        }
    }
}

/// The images.
pub struct Families(Vec<(String, Vec<u8>)>);

impl Families {
    /// Each of the [`BLOCKS`] of an image is a stretch of so many erase blocks.
    pub fn new(stretch: usize) -> Self {
        let block_size = BLOCK * stretch;
        let mut files = Vec::new();
        for (family, seed) in [("a", 1), ("b", 2)] {
            let mut noise = Noise(seed);
            let mut image = noise.bytes(BLOCKS * block_size);
            files.push((format!("{family}.all"), image.clone()));
            let mut renew = |image: &mut Vec<u8>, block: usize| {
                image[block * block_size..][..block_size].copy_from_slice(&noise.bytes(block_size));
            };
            renew(&mut image, 50);
            files.push((format!("{family}.one"), image.clone()));
            // In pairs, because erase blocks of the NOR chip are twice as large.
            for pair in 0..15 {
                renew(&mut image, 6 * pair + 4);
                renew(&mut image, 6 * pair + 5);
            }
            files.push((format!("{family}.thirty"), image));
        }
        Families(files)
    }

    /// Names and contents.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }

    /// The name of the image for a case, when `turn` tools have had their turn before.
    pub fn next(&self, turn: usize, case: Case) -> String {
        let family = if turn.is_multiple_of(2) { "a" } else { "b" };
        let name = match case {
            Case::Everything | Case::Nothing => "all",
            Case::One => "one",
            Case::Thirty => "thirty",
        };
        format!("{family}.{name}")
    }

    /// An image that differs in every block from the one that comes first.
    pub fn other(&self) -> &'static str {
        "b.thirty"
    }
}

/// Bytes that do not compress and are no file system, the same in each run: George Marsaglia's xorshift64.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend(self.0.to_le_bytes());
        }
        bytes
    }
}
