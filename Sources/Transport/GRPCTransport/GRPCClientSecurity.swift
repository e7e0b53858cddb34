internal import CGRPC

/// How a client speaks TLS.
package struct GRPCClientSecurity: Sendable, Equatable {
    /// Authorities, in PEM, one of which has to have signed the server's certificate.
    package let authorities: String
    /// The client's own certificate, with those between it and its root, and its key, in PEM; nil for none.
    package let identity: Identity?

    /// A client's certificate and its key.
    package struct Identity: Sendable, Equatable {
        package let certificate: String
        package let key: String

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    package init(authorities: String, identity: Identity? = nil) {
        self.authorities = authorities
        self.identity = identity
    }

    /// Makes the core's credentials, which the caller has to release.
    func credentials() -> OpaquePointer? {
        unsafe authorities.withCString { authorities in
            guard let identity else {
                return unsafe grpc_ssl_credentials_create_ex(authorities, nil, nil, nil)
            }
            return unsafe identity.certificate.withCString { certificate in
                unsafe identity.key.withCString { key in
                    var pair = unsafe grpc_ssl_pem_key_cert_pair(
                        private_key: key,
                        cert_chain: certificate
                    )
                    return unsafe grpc_ssl_credentials_create_ex(authorities, &pair, nil, nil)
                }
            }
        }
    }
}
