//! A certificate authority of the test's own, and a server certificate for `localhost` signed by it.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The files of one authority; they live as long as the directory.
pub struct Authority {
    dir: PathBuf,
}

impl Authority {
    /// Makes the authority, and the server's certificate and key, in `dir`.
    pub fn new(dir: &Path) -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names to refuse");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "upbeat tests");
        let authority = params.self_signed(&authority_key).expect("a certificate");
        let issuer = Issuer::new(params, authority_key);

        let key = KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("valid names");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");

        let made = Self { dir: dir.to_owned() };
        for (file, text) in [
            (made.ca_file(), authority.pem()),
            (made.cert_file(), certificate.pem()),
            (made.key_file(), key.serialize_pem()),
        ] {
            std::fs::write(file, text).expect("a file in a temporary directory");
        }
        made
    }

    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub fn cert_file(&self) -> PathBuf {
        self.dir.join("server.pem")
    }

    pub fn key_file(&self) -> PathBuf {
        self.dir.join("server.key")
    }
}
