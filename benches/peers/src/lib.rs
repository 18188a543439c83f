//! libsrtp 2 behind the few calls that a referee needs, and what tests and benches share.
//!
//! The layouts are those of `srtp2/srtp.h` of version 2.5; the crate under test has no `unsafe`.

use std::ffi::{c_int, c_uint, c_ulong, c_void};
use std::sync::Once;

use estafette::srtp::Profile;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

#[repr(C)]
#[derive(Default)]
struct CryptoPolicy {
    cipher_type: u32,
    cipher_key_len: c_int,
    auth_type: u32,
    auth_key_len: c_int,
    auth_tag_len: c_int,
    services: c_uint,
}

#[repr(C)]
struct Policy {
    ssrc_type: c_uint,
    ssrc: c_uint,
    rtp: CryptoPolicy,
    rtcp: CryptoPolicy,
    key: *const u8,
    keys: *mut c_void,
    key_count: c_ulong,
    ekt: *mut c_void,
    window_size: c_ulong,
    allow_repeat_tx: c_int,
    encrypted_extensions: *mut c_int,
    encrypted_extension_count: c_int,
    next: *mut c_void,
}

#[link(name = "srtp2")]
unsafe extern "C" {
    fn srtp_init() -> c_int;
    fn srtp_create(session: *mut *mut c_void, policy: *const Policy) -> c_int;
    fn srtp_dealloc(session: *mut c_void) -> c_int;
    fn srtp_protect(session: *mut c_void, packet: *mut u8, len: *mut c_int) -> c_int;
    fn srtp_unprotect(session: *mut c_void, packet: *mut u8, len: *mut c_int) -> c_int;
    fn srtp_protect_rtcp(session: *mut c_void, packet: *mut u8, len: *mut c_int) -> c_int;
    fn srtp_unprotect_rtcp(session: *mut c_void, packet: *mut u8, len: *mut c_int) -> c_int;
    fn srtp_crypto_policy_set_rtp_default(policy: *mut CryptoPolicy);
    fn srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(policy: *mut CryptoPolicy);
    fn srtp_crypto_policy_set_aes_gcm_128_16_auth(policy: *mut CryptoPolicy);
    fn srtp_crypto_policy_set_aes_gcm_256_16_auth(policy: *mut CryptoPolicy);
}

/// Which way a session of libsrtp works.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    In = 2,
    Out = 3,
}

/// One direction of libsrtp, any SSRC.
pub struct LibSrtp(*mut c_void);

/// libsrtp's number of what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub c_int);

type Call = unsafe extern "C" fn(*mut c_void, *mut u8, *mut c_int) -> c_int;

impl LibSrtp {
    pub fn new(profile: Profile, key: &[u8], salt: &[u8], way: Way) -> LibSrtp {
        static INIT: Once = Once::new();
        // SAFETY: once, before any other call.
        INIT.call_once(|| assert_eq!(unsafe { srtp_init() }, 0));
        let (mut rtp, mut rtcp) = (CryptoPolicy::default(), CryptoPolicy::default());
        // SAFETY: each call fills the structure it is given.
        unsafe {
            match profile {
                Profile::AeadAes128Gcm => {
                    srtp_crypto_policy_set_aes_gcm_128_16_auth(&mut rtp);
                    srtp_crypto_policy_set_aes_gcm_128_16_auth(&mut rtcp);
                }
                Profile::AeadAes256Gcm => {
                    srtp_crypto_policy_set_aes_gcm_256_16_auth(&mut rtp);
                    srtp_crypto_policy_set_aes_gcm_256_16_auth(&mut rtcp);
                }
                Profile::Aes128CmHmacSha1_80 => {
                    srtp_crypto_policy_set_rtp_default(&mut rtp);
                    srtp_crypto_policy_set_rtp_default(&mut rtcp);
                }
                Profile::Aes128CmHmacSha1_32 => {
                    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&mut rtp);
                    srtp_crypto_policy_set_rtp_default(&mut rtcp);
                }
            }
        }
        let key = [key, salt].concat();
        assert_eq!(key.len(), profile.key_len() + profile.salt_len());
        let null = std::ptr::null_mut();
        let policy = Policy {
            ssrc_type: way as c_uint,
            ssrc: 0,
            rtp,
            rtcp,
            key: key.as_ptr(),
            keys: null,
            key_count: 0,
            ekt: null,
            window_size: 1_024,
            allow_repeat_tx: 0,
            encrypted_extensions: null.cast(),
            encrypted_extension_count: 0,
            next: null,
        };
        let mut session = null;
        // SAFETY: the key has the policy's length and outlives the call, which copies it.
        let status = unsafe { srtp_create(&mut session, &policy) };
        assert_eq!(status, 0, "srtp_create");
        LibSrtp(session)
    }

    /// Seals the first `len` bytes of `buf` where they lie; there must be room for tag and trailer.
    pub fn protect(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Status> {
        self.call(srtp_protect, buf, len, 16)
    }

    pub fn unprotect(&mut self, buf: &mut [u8]) -> Result<usize, Status> {
        self.call(srtp_unprotect, buf, buf.len(), 0)
    }

    pub fn protect_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, Status> {
        self.call(srtp_protect_rtcp, buf, len, 20)
    }

    pub fn unprotect_rtcp(&mut self, buf: &mut [u8]) -> Result<usize, Status> {
        self.call(srtp_unprotect_rtcp, buf, buf.len(), 0)
    }

    fn call(&mut self, call: Call, buf: &mut [u8], len: usize, room: usize) -> Result<usize, Status> {
        assert!(len + room <= buf.len());
        let mut changed = c_int::try_from(len).expect("a short buffer");
        // SAFETY: the session lives, and the buffer has the room that the call may need.
        match unsafe { call(self.0, buf.as_mut_ptr(), &mut changed) } {
            0 => Ok(usize::try_from(changed).expect("a length")),
            status => Err(Status(status)),
        }
    }
}

impl Drop for LibSrtp {
    fn drop(&mut self) {
        // SAFETY: made by `srtp_create`, and gone after this.
        unsafe { srtp_dealloc(self.0) };
    }
}

/// A context of webrtc-srtp.
pub fn webrtc(profile: Profile, key: &[u8], salt: &[u8]) -> Context {
    let theirs = match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Profile::Aes128CmHmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    Context::new(key, salt, theirs, None, None).expect("lengths that fit")
}
