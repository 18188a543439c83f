//! The secrets that pages hold: codes of rooms and invitations, seats, moderators' secrets. Each has 80
//! random bits, so that guessing is hopeless without any limit on tries.

use std::fmt;
use std::str::FromStr;

/// Digits without the letters that are mistaken for others (i, l, o, u): Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A secret, written as `xxxx-xxxx-xxxx-xxxx`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code([u8; 10]);

impl Code {
    /// A fresh code from the system's generator.
    pub fn random() -> Result<Code, getrandom::Error> {
        let mut bytes = [0; 10];
        getrandom::fill(&mut bytes)?;
        Ok(Code(bytes))
    }

    /// The code of the room or invitation whose secret this is: a hash of it. So a server that has forgotten a
    /// room still tells its moderator from whoever merely knows the code, for whom finding a secret
    /// that fits takes some 2^80 tries.
    pub fn code(self) -> Code {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.0);
        let mut code = [0; 10];
        code.copy_from_slice(&hash.as_ref()[..10]);
        Code(code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        for digit in 0..16 {
            if digit > 0 && digit % 4 == 0 {
                f.write_str("-")?;
            }
            let value = (bits >> (75 - 5 * digit)) & 31;
            write!(f, "{}", char::from(DIGITS[value as usize]))?;
        }
        Ok(())
    }
}

/// A code opens what it stands for, so it stays out of logs.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// The text is no code.
#[derive(Debug, PartialEq, Eq)]
pub struct NotACode;

impl FromStr for Code {
    type Err = NotACode;

    /// Takes what people type: any case, with or without hyphens and spaces, `o` for 0, `l` for 1.
    fn from_str(text: &str) -> Result<Code, NotACode> {
        let mut bits = 0u128;
        let mut digits = 0;
        for byte in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')) {
            let byte = match byte.to_ascii_lowercase() {
                b'o' => b'0',
                b'i' | b'l' => b'1',
                byte => byte,
            };
            let value = DIGITS.iter().position(|digit| *digit == byte).ok_or(NotACode)?;
            digits += 1;
            if digits > 16 {
                return Err(NotACode);
            }
            bits = bits << 5 | value as u128;
        }
        if digits < 16 {
            return Err(NotACode);
        }
        let mut code = [0; 10];
        code.copy_from_slice(&bits.to_be_bytes()[6..]);
        Ok(Code(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read() {
        let code = Code([0xff, 0x00, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0x01]);
        let shown = code.to_string();
        assert_eq!(shown.len(), 19);
        assert_eq!(shown.parse(), Ok(code));
        assert_eq!(
            shown.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l").parse(),
            Ok(code)
        );
    }

    #[test]
    fn other_lengths_and_letters_are_no_code() {
        for text in
            ["", "0000-0000-0000-000", "0000-0000-0000-0000-0", "u000-0000-0000-0000", "é000-0000-0000-0000"]
        {
            assert_eq!(text.parse::<Code>(), Err(NotACode), "{text}");
        }
    }

    #[test]
    fn a_code_proves_its_secret_and_does_not_tell_it() {
        let secret = Code([7; 10]);
        assert_eq!(secret.code(), secret.code());
        assert_ne!(secret.code(), secret);
        assert_ne!(Code([8; 10]).code(), secret.code());
        assert_eq!(format!("{secret:?}"), "Code(..)");
    }

    #[test]
    fn s_room_01_codes_carry_80_random_bits() {
        let codes: Vec<Code> = (0..64).map(|_| Code::random().expect("generator")).collect();
        // Each of the 80 bits is seen both set and clear: 2^-57 is the chance of a false alarm.
        let (mut or, mut and) = ([0u8; 10], [255u8; 10]);
        for code in &codes {
            for (index, byte) in code.0.iter().enumerate() {
                or[index] |= byte;
                and[index] &= byte;
            }
        }
        assert_eq!((or, and), ([255; 10], [0; 10]));
    }
}
