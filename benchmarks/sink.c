/* An HTTP/2 server over TLS that answers 200 to everything, as APNs does.
 *
 *     cc -O2 -o sink benchmarks/sink.c -lssl -lcrypto
 *     sink CERTIFICATE KEY [STREAMS]
 *
 * Prints its port and serves connections until it is ended. The response repeats the
 * request's apns-id if it is not compressed, and has no body. It is one thread and
 * needs about 1 us for a push, so it measures what a client costs, and not itself.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY,
       WINDOW_UPDATE, CONTINUATION };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4 };
enum { MAX_CONNECTIONS = 256, LARGEST_FRAME = 16384, READ_SIZE = 1 << 18 };

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LENGTH 24
#define WINDOW (1u << 30)
/* A literal field without index: the lengths of name and value, and the name. */
static const char APNS_ID[] = "\x07" "apns-id" "\x24";
#define APNS_ID_LENGTH 9
#define UUID_LENGTH 36

struct buffer {
    uint8_t *data;
    size_t length, size;
};

struct stream_id {
    uint32_t number;
    /* The apns-id of the request, or an empty string. */
    char apns_id[UUID_LENGTH + 1];
};

struct connection {
    int fd;
    SSL *ssl;
    struct buffer in, out;
    /* Requests whose headers have arrived and whose body has not: usually one. */
    struct stream_id *waiting;
    size_t waiting_count, waiting_size;
    /* The header block that continues in the next frame. */
    uint32_t continued;
    int continued_ends;
    uint32_t consumed;
    int greeted, handshaken;
};

static struct connection *connections[MAX_CONNECTIONS];
static struct pollfd polled[MAX_CONNECTIONS + 1];
static int connection_count;
static uint32_t max_streams = 1000;

static void die(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void reserve(struct buffer *buffer, size_t more) {
    if (buffer->length + more <= buffer->size)
        return;
    buffer->size = (buffer->length + more) * 2;
    buffer->data = realloc(buffer->data, buffer->size);
    if (buffer->data == NULL)
        die("memory");
}

static void append(struct buffer *buffer, const void *data, size_t length) {
    reserve(buffer, length);
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}

static void put32(uint8_t *place, uint32_t number) {
    number = htonl(number);
    memcpy(place, &number, 4);
}

static uint32_t get32(const uint8_t *place) {
    uint32_t number;
    memcpy(&number, place, 4);
    return ntohl(number);
}

static void append_frame(struct buffer *out, int kind, int flags, uint32_t stream,
                         const void *payload, size_t length) {
    uint8_t head[9] = {length >> 16, length >> 8, length, kind, flags};
    put32(head + 5, stream);
    append(out, head, sizeof head);
    append(out, payload, length);
}

static void greet(struct connection *c) {
    uint8_t settings[12] = {0, 3, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0}, wider[4];
    put32(settings + 2, max_streams);
    put32(settings + 8, 1 << 20);
    append_frame(&c->out, SETTINGS, 0, 0, settings, sizeof settings);
    put32(wider, WINDOW);
    append_frame(&c->out, WINDOW_UPDATE, 0, 0, wider, sizeof wider);
}

static void answer(struct connection *c, const struct stream_id *stream) {
    /* ":status: 200" is an entry of the static table. */
    uint8_t block[2 + APNS_ID_LENGTH + UUID_LENGTH] = {0x88, 0};
    size_t length = 1;
    if (stream->apns_id[0]) {
        memcpy(block + 2, APNS_ID, APNS_ID_LENGTH);
        memcpy(block + 2 + APNS_ID_LENGTH, stream->apns_id, UUID_LENGTH);
        length = sizeof block;
    }
    append_frame(&c->out, HEADERS, END_HEADERS | END_STREAM, stream->number, block,
                 length);
}

static struct stream_id *find(struct connection *c, uint32_t number) {
    for (size_t k = c->waiting_count; k-- > 0;)
        if (c->waiting[k].number == number)
            return &c->waiting[k];
    return NULL;
}

static void forget(struct connection *c, struct stream_id *stream) {
    *stream = c->waiting[--c->waiting_count];
}

static void begin(struct connection *c, uint32_t number, const uint8_t *block,
                  size_t length) {
    if (c->waiting_count == c->waiting_size) {
        c->waiting_size = c->waiting_size ? c->waiting_size * 2 : 64;
        c->waiting = realloc(c->waiting, c->waiting_size * sizeof *c->waiting);
        if (c->waiting == NULL)
            die("memory");
    }
    struct stream_id *stream = &c->waiting[c->waiting_count++];
    memset(stream, 0, sizeof *stream);
    stream->number = number;
    const uint8_t *id = memmem(block, length, APNS_ID, APNS_ID_LENGTH);
    if (id != NULL && id + APNS_ID_LENGTH + UUID_LENGTH <= block + length)
        memcpy(stream->apns_id, id + APNS_ID_LENGTH, UUID_LENGTH);
}

static void end(struct connection *c, uint32_t number) {
    struct stream_id *stream = find(c, number);
    if (stream != NULL) {
        answer(c, stream);
        forget(c, stream);
    }
}

/* Applies one frame; returns 0 if the connection has to be closed. */
static int apply(struct connection *c, int kind, int flags, uint32_t number,
                 const uint8_t *payload, size_t length) {
    if (c->continued && kind != CONTINUATION)
        return 0;
    switch (kind) {
    case HEADERS:
        begin(c, number, payload, length);
        if (!(flags & END_HEADERS)) {
            c->continued = number;
            c->continued_ends = flags & END_STREAM;
        } else if (flags & END_STREAM)
            end(c, number);
        return 1;
    case CONTINUATION:
        if (number != c->continued || number == 0)
            return 0;
        if (flags & END_HEADERS) {
            c->continued = 0;
            if (c->continued_ends)
                end(c, number);
        }
        return 1;
    case DATA:
        c->consumed += length;
        if (flags & END_STREAM)
            end(c, number);
        return 1;
    case RST_STREAM: {
        struct stream_id *stream = find(c, number);
        if (stream != NULL)
            forget(c, stream);
        return 1;
    }
    case SETTINGS:
        if (!(flags & ACK))
            append_frame(&c->out, SETTINGS, ACK, 0, NULL, 0);
        return 1;
    case PING:
        if (length != 8)
            return 0;
        if (!(flags & ACK))
            append_frame(&c->out, PING, ACK, 0, payload, length);
        return 1;
    case GOAWAY:
        /* The peer closes the connection after its last answer. */
        return 1;
    default:
        return 1;
    }
}

static int apply_all(struct connection *c) {
    size_t position = 0;
    if (!c->greeted) {
        if (c->in.length < PREFACE_LENGTH)
            return 1;
        if (memcmp(c->in.data, PREFACE, PREFACE_LENGTH) != 0)
            return 0;
        position = PREFACE_LENGTH;
        c->greeted = 1;
    }
    while (c->in.length - position >= 9) {
        const uint8_t *head = c->in.data + position;
        size_t length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (length > LARGEST_FRAME)
            return 0;
        if (c->in.length - position - 9 < length)
            break;
        uint32_t number = get32(head + 5) & 0x7fffffff;
        if (!apply(c, head[3], head[4], number, head + 9, length))
            return 0;
        position += 9 + length;
    }
    memmove(c->in.data, c->in.data + position, c->in.length - position);
    c->in.length -= position;
    if (c->consumed > WINDOW / 2) {
        uint8_t wider[4];
        put32(wider, c->consumed);
        append_frame(&c->out, WINDOW_UPDATE, 0, 0, wider, sizeof wider);
        c->consumed = 0;
    }
    return 1;
}

/* Whether the last call of OpenSSL failed only because it would have to wait. */
static int must_wait(struct connection *c, int result) {
    int error = SSL_get_error(c->ssl, result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static int write_out(struct connection *c) {
    size_t written = 0;
    while (written < c->out.length) {
        int count = SSL_write(c->ssl, c->out.data + written,
                              (int)(c->out.length - written));
        if (count <= 0) {
            if (!must_wait(c, count))
                return 0;
            break;
        }
        written += count;
    }
    memmove(c->out.data, c->out.data + written, c->out.length - written);
    c->out.length -= written;
    return 1;
}

/* Reads and answers what there is; returns 0 if the connection has ended. */
static int serve(struct connection *c) {
    if (!c->handshaken) {
        int result = SSL_accept(c->ssl);
        if (result != 1)
            return must_wait(c, result);
        c->handshaken = 1;
        greet(c);
    }
    for (;;) {
        reserve(&c->in, READ_SIZE);
        int count = SSL_read(c->ssl, c->in.data + c->in.length, READ_SIZE);
        if (count <= 0) {
            if (!must_wait(c, count))
                return 0;
            break;
        }
        c->in.length += count;
        if (!apply_all(c))
            return 0;
        /* Answers are written together, but not kept for long. */
        if (c->out.length > READ_SIZE && !write_out(c))
            return 0;
    }
    return write_out(c);
}

static void add_connection(SSL_CTX *context, int fd) {
    int on = 1;
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL || connection_count == MAX_CONNECTIONS) {
        free(c);
        close(fd);
        return;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->fd = fd;
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, fd);
    connections[connection_count++] = c;
}

static void remove_connection(int place) {
    struct connection *c = connections[place];
    SSL_free(c->ssl);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c->waiting);
    free(c);
    connections[place] = connections[--connection_count];
}

static int choose_h2(SSL *ssl, const unsigned char **chosen, unsigned char *length,
                     const unsigned char *offered, unsigned int offered_length,
                     void *unused) {
    static const unsigned char h2[] = "\x02h2";
    (void)ssl, (void)unused;
    int found = SSL_select_next_proto((unsigned char **)chosen, length, h2, 3, offered,
                                      offered_length);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
                                           : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *tls_context(const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1
        || SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        die("certificate and key");
    SSL_CTX_set_alpn_select_cb(context, choose_h2, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE
                                  | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_SIZE);
    return context;
}

static int listening_socket(void) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0
        || listen(fd, 64) < 0 || getsockname(fd, (struct sockaddr *)&address, &length))
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int count, char **arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: %s CERTIFICATE KEY [STREAMS]\n", arguments[0]);
        return 2;
    }
    if (count > 3)
        max_streams = (uint32_t)atoi(arguments[3]);
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *context = tls_context(arguments[1], arguments[2]);
    int listening = listening_socket();
    for (;;) {
        polled[0] = (struct pollfd){.fd = listening, .events = POLLIN};
        for (int k = 0; k < connection_count; k++) {
            struct connection *c = connections[k];
            short events = POLLIN | (c->out.length ? POLLOUT : 0);
            polled[k + 1] = (struct pollfd){.fd = c->fd, .events = events};
        }
        int before = connection_count;
        if (poll(polled, before + 1, -1) < 0)
            die("poll");
        /* From the end, because a removed one's place is taken by the last one. */
        for (int k = before; k-- > 0;)
            if (polled[k + 1].revents && !serve(connections[k]))
                remove_connection(k);
        if (polled[0].revents) {
            int fd = accept(listening, NULL, NULL);
            if (fd >= 0)
                add_connection(context, fd);
        }
    }
}
