// forge: forged RTP over a range of ports on loopback, as fast as the machine gives or as it is told.
//
// usage: forge LOW HIGH FROM_PORT SECONDS [PACKETS_PER_SECOND]
// To each port goes a stream of its own, in sequence: G.711 of 20 ms whose sound is 0x22. Prints how many were sent, and how many datagrams
// came back; ends sooner on SIGTERM.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#define BATCH 64
#define LEN 172
static volatile sig_atomic_t over;
static void end(int signal) { (void)signal; over = 1; }
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
int main(int count, char **words) {
    if (count < 5) {
        fprintf(stderr, "usage: forge LOW HIGH FROM_PORT SECONDS [PACKETS_PER_SECOND]\n");
        return 2;
    }
    int low = atoi(words[1]), high = atoi(words[2]);
    double seconds = atof(words[4]), rate = count > 5 ? atof(words[5]) : 0;
    signal(SIGTERM, end);
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(atoi(words[3])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(s, (void *)&from, sizeof from)) {
        perror("forge: bind");
        return 2;
    }
    static unsigned char packet[BATCH][LEN];
    static struct sockaddr_in to[BATCH];
    struct mmsghdr batch[BATCH];
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        memset(packet[i], 0x22, LEN);
        packet[i][0] = 0x80, packet[i][1] = 0;
        memcpy(packet[i] + 8, "FORG", 4);
        to[i] = from;
        parts[i] = (struct iovec){packet[i], LEN};
        memset(&batch[i], 0, sizeof batch[i]);
        batch[i].msg_hdr = (struct msghdr){.msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    uint64_t sent = 0, refused = 0, answers = 0;
    uint32_t round = 0;
    int port = low;
    double began = now();
    while (!over && now() - began < seconds) {
        for (int i = 0; i < BATCH; i++) {
            uint16_t sequence = htons(round);
            uint32_t timestamp = htonl(round * 160);
            memcpy(packet[i] + 2, &sequence, 2);
            memcpy(packet[i] + 4, &timestamp, 4);
            to[i].sin_port = htons(port);
            if (++port > high) port = low, round++;
        }
        // Nobody listens on most ports: the next send is told so, and goes on.
        for (int done = 0; done < BATCH;) {
            int n = sendmmsg(s, batch + done, BATCH - done, 0);
            if (n > 0) done += n, sent += n;
            else refused++, done++;
        }
        char answer[2048];
        while (recv(s, answer, sizeof answer, MSG_DONTWAIT) >= 0) answers++;
        double ahead = rate > 0 ? began + sent / rate - now() : 0;
        if (ahead > 0) {
            struct timespec pause = {(time_t)ahead, (long)((ahead - (time_t)ahead) * 1e9)};
            nanosleep(&pause, 0);
        }
    }
    printf("forged=%lu refused=%lu answers=%lu rate=%.0f\n", sent, refused, answers, sent / (now() - began));
    return 0;
}
