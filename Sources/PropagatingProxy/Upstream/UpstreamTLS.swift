// SPDX-License-Identifier: Apache-2.0
import TLS

extension UpstreamTLS {
    /// One endpoint, to be connected to again and again by one thread.
    ///
    /// - Parameter host: the endpoint's, as configured.
    func destination(_ host: String) -> TLSDestination {
        TLSDestination(context, host: serverName ?? host, resumes: resumesSessions)
    }
}
