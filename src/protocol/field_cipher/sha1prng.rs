//! Java's `SHA1PRNG`, seeded once and read in one go: how AES keys come of access keys (spec 2-basic-v1 §4.3).
//!
//! Interoperability only. It stretches nothing: an AES key is as hard to guess as the access key it comes of.

use ring::digest;
use zeroize::Zeroizing;

/// Bytes of a SHA-1 digest, the state and one round's output.
const ROUND: usize = 20;

/// Fills `stream` with the first bytes that `SecureRandom.getInstance("SHA1PRNG")` gives after `setSeed(seed)`.
pub(super) fn fill(seed: &[u8], stream: &mut [u8]) {
    let mut state = sha1(seed);
    for piece in stream.chunks_mut(ROUND) {
        let output = sha1(state.as_slice());
        piece.copy_from_slice(&output[..piece.len()]);
        advance(&mut state, &output);
    }
}

/// Adds the output and one to the state. Java's bytes are signed, and so is the carry: an unsigned addition gives the same
/// first round and another second one.
fn advance(state: &mut [u8; ROUND], output: &[u8; ROUND]) {
    let mut carry = 1_i16;
    let mut has_changed = false;
    for (byte, added) in state.iter_mut().zip(output) {
        let sum = i16::from(byte.cast_signed()) + i16::from(added.cast_signed()) + carry;
        let [low, high] = sum.to_le_bytes();
        has_changed |= *byte != low;
        *byte = low;
        carry = i16::from(high.cast_signed());
    }
    if !has_changed {
        state[0] = state[0].wrapping_add(1);
    }
}

fn sha1(data: &[u8]) -> Zeroizing<[u8; ROUND]> {
    let mut bytes = Zeroizing::new([0; ROUND]);
    bytes.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        valid: bool,
        inputs: Inputs,
        intermediate: Intermediate,
        expected: Expected,
        received: String,
    }
    #[derive(Deserialize)]
    struct Inputs {
        seed: String,
        length: usize,
    }
    #[derive(Deserialize)]
    struct Intermediate {
        seed_sha1: String,
        outputs: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Expected {
        key_hex: String,
    }

    fn stream(seed: &str, length: usize) -> String {
        let mut stream = vec![0; length];
        fill(seed.as_bytes(), &mut stream);
        HEXLOWER.encode(&stream)
    }

    #[test]
    fn every_vector_is_derived_and_judged_as_it_says() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../tests/vectors/sha1prng.json")).unwrap();
        assert_eq!(vectors.len(), 8);
        for Vector { name, valid, inputs, intermediate, expected, received } in vectors {
            assert_eq!(HEXLOWER.encode(sha1(inputs.seed.as_bytes()).as_slice()), intermediate.seed_sha1, "{name}");
            let rounds = intermediate.outputs.concat();
            assert_eq!(stream(&inputs.seed, rounds.len() / 2), rounds, "{name}");
            let key = stream(&inputs.seed, inputs.length);
            assert_eq!(key, expected.key_hex, "{name}");
            assert_eq!(key == received, valid, "{name}");
        }
    }

    #[test]
    fn a_state_that_an_addition_would_leave_as_it_is_moves_on_by_one() {
        let mut state = [7; ROUND];
        let mut output = [0; ROUND];
        // One comes in as the carry; taking it away in the first byte leaves every byte as it was.
        output[0] = 0xff;
        advance(&mut state, &output);
        assert_eq!((state[0], &state[1..]), (8, &[7; ROUND - 1][..]));
    }

    #[test]
    fn carries_are_signed() {
        let advanced = |first: u8, added: u8| {
            let mut state = [0; ROUND];
            let mut output = [0; ROUND];
            (state[0], output[0]) = (first, added);
            advance(&mut state, &output);
            (state[0], state[1])
        };
        assert_eq!(advanced(0x7f, 0x7f), (0xff, 0));
        assert_eq!(advanced(0x80, 0x80), (0x01, 0xff));
        assert_eq!(advanced(0xff, 0x01), (0x01, 0));
    }
}
