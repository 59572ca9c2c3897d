//! Safe access to Linux MTD flash.
