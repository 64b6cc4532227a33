//! SHA-512 crypt, the form in which nginx reads passwords (through the C library).

use sha2::{Digest, Sha512};

/// Few rounds: nginx computes this for every request, in its event loop.
const ROUNDS: usize = 1000;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `$6$…` of a password. The salt comes from `context` and the password itself, so that the
/// same input gives the same file.
pub(super) fn hash(password: &str, context: &str) -> String {
    let digest = blake3::Hasher::new_derive_key("pressluft 2026 salt of a password file")
        .update(context.as_bytes())
        .update(&[0])
        .update(password.as_bytes())
        .finalize();
    let salt: String = digest.as_bytes()[..16]
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
        .collect();
    sha512_crypt(password.as_bytes(), &salt, ROUNDS)
}

/// The algorithm of Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512".
fn sha512_crypt(password: &[u8], salt: &str, rounds: usize) -> String {
    let salt_bytes = salt.as_bytes();
    let alternate = digest(&[password, salt_bytes, password]);

    let mut first = Sha512::new();
    first.update(password);
    first.update(salt_bytes);
    first.update(stretched(&alternate, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 {
            &alternate[..]
        } else {
            password
        });
        bits >>= 1;
    }
    let mut sum: Vec<u8> = first.finalize().to_vec();

    let repeated = password.repeat(password.len());
    let password_sequence = stretched(&digest(&[&repeated]), password.len());
    let repeated = salt_bytes.repeat(16 + usize::from(sum[0]));
    let salt_sequence = stretched(&digest(&[&repeated]), salt_bytes.len());

    for round in 0..rounds {
        let mut next = Sha512::new();
        let odd = round % 2 == 1;
        next.update(if odd { &password_sequence } else { &sum });
        if !round.is_multiple_of(3) {
            next.update(&salt_sequence);
        }
        if !round.is_multiple_of(7) {
            next.update(&password_sequence);
        }
        next.update(if odd { &sum } else { &password_sequence });
        sum = next.finalize().to_vec();
    }
    format!("$6$rounds={rounds}${salt}${}", encode(&sum))
}

fn digest(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// `block` repeated and cut to `length` bytes.
fn stretched(block: &[u8], length: usize) -> Vec<u8> {
    block.iter().copied().cycle().take(length).collect()
}

fn encode(sum: &[u8]) -> String {
    let mut text = String::with_capacity(86);
    let mut put = |word: u32, count: usize| {
        for index in 0..count {
            text.push(char::from(ALPHABET[((word >> (6 * index)) & 63) as usize]));
        }
    };
    // Three bytes 21 apart make four letters; which one leads rotates.
    for group in 0..21 {
        let (mut a, mut b, mut c) = (group, group + 21, group + 42);
        for _ in 0..group % 3 {
            (a, b, c) = (b, c, a);
        }
        put(
            u32::from(sum[a]) << 16 | u32::from(sum[b]) << 8 | u32::from(sum[c]),
            4,
        );
    }
    put(u32::from(sum[63]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the specification.
    #[test]
    fn known_passwords_have_their_known_hashes() {
        assert_eq!(
            sha512_crypt(b"Hello world!", "saltstringsaltst", 10_000),
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/\
             UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."
        );
        assert_eq!(
            sha512_crypt(
                b"a very much longer text to encrypt.  This one even stretches over \
                           morethan one line.",
                "anotherlongsalts",
                1400
            ),
            "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x\
             9t0oSwbtEW7o7UmJEiDwGqd8p4ur1"
        );
    }
}
