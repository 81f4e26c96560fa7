#pragma once
// OpenSSL, with functions for what its headers have as macros.
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

static inline void openssl_free(void *memory) { OPENSSL_free(memory); }
static inline void *openssl_copy(const void *bytes, size_t count) { return OPENSSL_memdup(bytes, count); }

static inline int openssl_name_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline GENERAL_NAME *openssl_name(const GENERAL_NAMES *names, int index) {
    return sk_GENERAL_NAME_value(names, index);
}
static inline int openssl_name_type(const GENERAL_NAME *name) { return name->type; }
/// The text of a DNS name or URI, the bytes of an address; NULL for others. `*count` is its length.
static inline const unsigned char *openssl_name_bytes(const GENERAL_NAME *name, int *count) {
    const ASN1_STRING *text = NULL;
    switch (name->type) {
    case GEN_DNS: text = name->d.dNSName; break;
    case GEN_URI: text = name->d.uniformResourceIdentifier; break;
    case GEN_IPADD: text = name->d.iPAddress; break;
    default: break;
    }
    *count = text ? ASN1_STRING_length(text) : 0;
    return text ? ASN1_STRING_get0_data(text) : NULL;
}

/// Seconds since 1970, or INT64_MIN if it is no time.
static inline int64_t openssl_seconds(const ASN1_TIME *time) {
    struct tm parts;
    if (!time || ASN1_TIME_to_tm(time, &parts) != 1) return INT64_MIN;
    return (int64_t)timegm(&parts);
}

static inline STACK_OF(X509) *openssl_certificates(void) { return sk_X509_new_null(); }
/// Takes the certificate over; 0 without memory.
static inline int openssl_add(STACK_OF(X509) *list, X509 *certificate) { return sk_X509_push(list, certificate); }
static inline int openssl_count(const STACK_OF(X509) *list) { return sk_X509_num(list); }
static inline X509 *openssl_get(const STACK_OF(X509) *list, int index) { return sk_X509_value(list, index); }
static inline void openssl_free_certificates(STACK_OF(X509) *list) { sk_X509_pop_free(list, X509_free); }

static inline STACK_OF(X509_NAME) *openssl_names(void) { return sk_X509_NAME_new_null(); }
static inline int openssl_add_name(STACK_OF(X509_NAME) *list, X509_NAME *name) { return sk_X509_NAME_push(list, name); }

static inline int openssl_chain(SSL_CTX *context, STACK_OF(X509) *chain) { return SSL_CTX_set1_chain(context, chain); }
static inline int openssl_groups(SSL_CTX *context, const char *list) { return SSL_CTX_set1_groups_list(context, list); }
/// No compression, no renegotiation, no early data; the server's order of ciphers, but ChaCha20 for peers that prefer it.
static inline void openssl_set_options(SSL_CTX *context) {
    SSL_CTX_set_options(
        context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_max_early_data(context, 0);
}
static inline void openssl_no_tickets(SSL_CTX *context) { SSL_CTX_set_options(context, SSL_OP_NO_TICKET); }
/// Partial writes, and buffers that may move between two tries; memory for records only while one is under way.
static inline long openssl_set_mode(SSL_CTX *context) {
    return SSL_CTX_set_mode(
        context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}
static inline int openssl_version_range(SSL_CTX *context, int least, int most) {
    return SSL_CTX_set_min_proto_version(context, least) && SSL_CTX_set_max_proto_version(context, most);
}
static inline long openssl_session_cache(SSL_CTX *context, long mode) {
    return SSL_CTX_set_session_cache_mode(context, mode);
}
static inline void openssl_set_server_name_callback(
    SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline void openssl_set_status_callback(SSL_CTX *context, int (*callback)(SSL *, void *), void *argument) {
    SSL_CTX_set_tlsext_status_cb(context, callback);
    SSL_CTX_set_tlsext_status_arg(context, argument);
}
/// Takes the bytes over, which OPENSSL_malloc gave.
static inline void openssl_staple(SSL *ssl, unsigned char *bytes, long count) {
    SSL_set_tlsext_status_ocsp_resp(ssl, bytes, count);
}
static inline long openssl_send_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name); }
static inline int openssl_error_reason(unsigned long error) { return ERR_GET_REASON(error); }
static inline int openssl_error_library(unsigned long error) { return ERR_GET_LIB(error); }

/// What keeps the key of a session ticket's check, for EVP_MAC_CTX_set_params; 0 after an error.
static inline int openssl_set_mac_key(EVP_MAC_CTX *mac, const unsigned char *key, size_t count) {
    OSSL_PARAM parameters[3];
    parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, count);
    parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    parameters[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(mac, parameters);
}

/// Writes a name as RFC 2253 does; negative after an error.
static inline int openssl_print_name(BIO *out, const X509_NAME *name) {
    return X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253);
}

static inline int openssl_object_count(const STACK_OF(X509_OBJECT) *objects) { return sk_X509_OBJECT_num(objects); }
/// NULL for what is no certificate.
static inline X509 *openssl_object_certificate(const STACK_OF(X509_OBJECT) *objects, int index) {
    return X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, index));
}
