//! Tests of the public interface: files in, documents out; rows in, masks out.

#[cfg(test)]
mod arguments;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod damaged_masks;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod file_formats;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod joined;
#[cfg(test)]
mod masks;
#[cfg(test)]
mod nested;
#[cfg(test)]
mod other_readers;
#[cfg(test)]
mod other_tars;
#[cfg(test)]
mod other_writers;
#[cfg(test)]
mod passed_over;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod remote_servers;
#[cfg(test)]
mod remote_versions;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tar;
#[cfg(test)]
mod unusual;
