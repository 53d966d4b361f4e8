/* Prints packets as libsrtp seals them, for tests/srtp.rs to compare with; `tests/srtp/vectors.txt` is what it printed.
 *
 *   apt-get install libsrtp2-dev
 *   cc tests/srtp/vectors.c -lsrtp2 -o /tmp/vectors && /tmp/vectors > tests/srtp/vectors.txt
 *
 * Neither the build nor the tests need libsrtp: only whoever adds a vector.
 */
#include <srtp2/srtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct suite {
    const char *name;
    void (*set)(srtp_crypto_policy_t *);
    size_t master; /* key and salt */
    int short_tag; /* of SRTP; the tag of SRTCP is as long as ever */
};

static void gcm_128(srtp_crypto_policy_t *p) { srtp_crypto_policy_set_aes_gcm_128_16_auth(p); }
static void gcm_256(srtp_crypto_policy_t *p) { srtp_crypto_policy_set_aes_gcm_256_16_auth(p); }
static void cm_128(srtp_crypto_policy_t *p) { srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(p); }
static void cm_128_32(srtp_crypto_policy_t *p) { srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(p); }
static void cm_256(srtp_crypto_policy_t *p) { srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(p); }
static void cm_256_32(srtp_crypto_policy_t *p) { srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(p); }

static const struct suite suites[] = {
    { "AES_CM_128_HMAC_SHA1_80", cm_128, 30, 0 },    { "AES_CM_128_HMAC_SHA1_32", cm_128_32, 30, 1 },
    { "AES_256_CM_HMAC_SHA1_80", cm_256, 46, 0 },    { "AES_256_CM_HMAC_SHA1_32", cm_256_32, 46, 1 },
    { "AEAD_AES_128_GCM", gcm_128, 28, 0 },          { "AEAD_AES_256_GCM", gcm_256, 44, 0 },
};

static void hex(const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) printf("%02x", bytes[i]);
}

static void must(srtp_err_status_t status, const char *what) {
    if (status != srtp_err_status_ok) {
        fprintf(stderr, "%s: %d\n", what, status);
        exit(1);
    }
}

/* Header, two sources, an extension, padding: as `shape` says; `payload` bytes behind. Returns the length. */
static int rtp(unsigned char *out, unsigned shape, unsigned sequence, unsigned ssrc, int payload) {
    int len = 12;
    memset(out, 0, 12);
    out[0] = 0x80 | (shape & 1 ? 0x02 : 0) | (shape & 2 ? 0x10 : 0) | (shape & 4 ? 0x20 : 0);
    out[1] = 8;
    out[2] = sequence >> 8, out[3] = sequence;
    for (int i = 0; i < 4; i++) out[4 + i] = (sequence * 160) >> (24 - 8 * i), out[8 + i] = ssrc >> (24 - 8 * i);
    if (shape & 1)
        for (int i = 0; i < 8; i++) out[len++] = 0xc0 + i;
    if (shape & 2) {
        static const unsigned char extension[] = { 0xbe, 0xde, 0, 2, 0x10, 1, 0x22, 2, 3, 4, 0, 0 };
        memcpy(out + len, extension, sizeof extension);
        len += sizeof extension;
    }
    for (int i = 0; i < payload; i++) out[len++] = 7 * i + sequence;
    if (shape & 4) out[len++] = 0, out[len++] = 0, out[len++] = 3;
    return len;
}

/* A sender report without blocks, and a source description. */
static int rtcp(unsigned char *out, unsigned ssrc, unsigned count) {
    static const unsigned char compound[] = {
        0x80, 200, 0, 6, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 160, 0, 0, 0, 1, 0, 0, 0, 172,
        0x81, 202, 0, 3, 0, 0, 0, 0, 1, 5, 'p', 'h', 'o', 'n', 'e', 0, 0, 0,
    };
    memcpy(out, compound, 44);
    for (int i = 0; i < 4; i++) out[4 + i] = out[32 + i] = ssrc >> (24 - 8 * i);
    out[23] = count;
    return 44;
}

static void print(const char *kind, const unsigned char *plain, int plain_len, const unsigned char *sealed, int len) {
    printf("%s ", kind);
    hex(plain, plain_len);
    printf(" ");
    hex(sealed, len);
    printf("\n");
}

static void stream(const struct suite *suite, const unsigned char *mki, unsigned mki_len) {
    static const unsigned sequences[] = { 0x7ff0, 0xb000, 0xfffd, 0xffff, 0x0000, 0xfffe, 0x0001, 0x7000, 0xd000, 0x0002 };
    static const int payloads[] = { 160, 0, 1, 15, 16, 17, 160, 33, 640, 20 };
    unsigned char key[46], id[4], plain[2048], sealed[2048];
    srtp_policy_t policy;
    srtp_master_key_t master = { key, id, mki_len };
    srtp_master_key_t *masters[] = { &master };
    srtp_t session;

    for (size_t i = 0; i < sizeof key; i++) key[i] = 0x11 * (i % 15) + i;
    if (mki_len) memcpy(id, mki, mki_len);
    memset(&policy, 0, sizeof policy);
    suite->set(&policy.rtp);
    if (suite->short_tag) {
        suite->master == 30 ? cm_128(&policy.rtcp) : cm_256(&policy.rtcp);
    } else {
        suite->set(&policy.rtcp);
    }
    policy.ssrc.type = ssrc_any_outbound;
    policy.window_size = 1024;
    if (mki_len) {
        policy.keys = masters;
        policy.num_master_keys = 1;
    } else {
        policy.key = key;
    }
    must(srtp_create(&session, &policy), suite->name);

    printf("suite %s ", suite->name);
    hex(key, suite->master);
    printf(" ");
    if (mki_len) hex(id, mki_len);
    else printf("-");
    printf("\n");
    for (unsigned i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        int plain_len = rtp(plain, i, sequences[i], 0xdecafbad, payloads[i]), len = plain_len;
        memcpy(sealed, plain, plain_len);
        must(srtp_protect_mki(session, sealed, &len, mki_len > 0, 0), "rtp");
        print("rtp", plain, plain_len, sealed, len);
    }
    for (unsigned i = 0; i < 3; i++) {
        int plain_len = rtcp(plain, i == 2 ? 0xcafef00d : 0xdecafbad, i), len = plain_len;
        memcpy(sealed, plain, plain_len);
        must(srtp_protect_rtcp_mki(session, sealed, &len, mki_len > 0, 0), "rtcp");
        print("rtcp", plain, plain_len, sealed, len);
    }
    must(srtp_dealloc(session), "dealloc");

    /* SRTCP that is authenticated and not encrypted. */
    policy.rtcp.sec_serv = sec_serv_auth;
    must(srtp_create(&session, &policy), suite->name);
    int plain_len = rtcp(plain, 0xdecafbad, 0), len = plain_len;
    memcpy(sealed, plain, plain_len);
    must(srtp_protect_rtcp_mki(session, sealed, &len, mki_len > 0, 0), "clear");
    print("clear", plain, plain_len, sealed, len);
    must(srtp_dealloc(session), "dealloc");
}

int main(void) {
    static const unsigned char mki[] = { 0, 0, 0, 1 };
    must(srtp_init(), "init");
    printf("# %s; see vectors.c\n", srtp_get_version_string());
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        stream(&suites[i], mki, 0);
        stream(&suites[i], mki, sizeof mki);
    }
    return 0;
}
